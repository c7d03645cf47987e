//! A request before it is signed.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use longshore_model::FailureReason;

use crate::{ErrorKind, Op, StorageError};

/// Default limit of an answer's body, in bytes: a listing's. A page of 1,000 keys with every character escaped takes
/// up to 4 MB from S3, 7 MB from Google and 14 MB from Azure; a larger body is not a page.
const LARGEST_ANSWER: u64 = 16 * 1024 * 1024;

/// A request before it is signed. Each try starts from it.
pub(crate) struct CloudRequest {
    pub(crate) op: Op,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// The most bytes of a successful answer's body that are read; a longer body is an error.
    pub(crate) max_bytes: u64,
}

impl CloudRequest {
    /// Builds a request to a URI.
    ///
    /// # Errors
    /// `uri` is `None`, because no bucket can have this key.
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
            .map_err(|error| StorageError::with_source(self.op, ErrorKind::Invalid, FailureReason::Internal, error))?;
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(header::HOST, host);
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        if matches!(self.method, Method::PUT | Method::POST) {
            // An empty body needs a length as well.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        Ok(request)
    }
}
