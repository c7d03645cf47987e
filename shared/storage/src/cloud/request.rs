//! A request before it is signed.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use longshore_model::FailureReason;

use crate::{ErrorKind, Op, StorageError};

/// Bytes of an answer that are held unless a caller says otherwise: a listing's. A page of 1,000 keys takes up to 4 MB
/// from S3, 7 MB from Google and 14 MB from Azure, all characters escaped; a larger one is no page.
const LARGEST_ANSWER: u64 = 16 * 1024 * 1024;

/// A request before it is signed. Each try is made of it afresh.
pub(crate) struct CloudRequest {
    pub(crate) op: Op,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// As much of a successful answer's body as is held.
    pub(crate) max_bytes: u64,
}

impl CloudRequest {
    /// A request to a URI, if one could be made.
    ///
    /// # Errors
    /// There is no URI, because no bucket can have such a key.
    pub(crate) fn new(op: Op, method: Method, uri: Option<Uri>) -> Result<Self, StorageError> {
        let uri = uri.ok_or_else(|| StorageError::new(op, ErrorKind::Invalid, FailureReason::InvalidSettings))?;
        Ok(Self { op, method, uri, headers: Vec::new(), body: Bytes::new(), max_bytes: LARGEST_ANSWER })
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The HTTP request of one try, without a signature.
    pub(super) fn to_http(&self, authority: &str) -> Result<Request<Bytes>, StorageError> {
        let host = HeaderValue::from_str(authority)
            .map_err(|error| StorageError::caused(self.op, ErrorKind::Invalid, FailureReason::Internal, error))?;
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(header::HOST, host);
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        if matches!(self.method, Method::PUT | Method::POST) {
            // An empty body needs its length too.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        Ok(request)
    }
}
