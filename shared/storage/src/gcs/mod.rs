//! Google Cloud Storage through its JSON API.
//!
//! We use an object's `generation` as its etag: every write of content creates a new one, a change of metadata does
//! not, and listings, reads and writes all return it. (Cloud Storage's own etag changes with metadata, and composed
//! objects have no MD5.)

mod account;
mod answer;
mod bucket;
mod failure;
mod grant;
mod key_file;
mod list;
mod sign;
mod token;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use jiff::Timestamp;
use longshore_model::{FailureReason, GcsConnection, Paging, Secret, StorageKind};

#[cfg(feature = "conformance")]
use crate::ListPage;
use crate::cloud::{Cloud, CloudRequest, CloudStorage, ListingAnswer};
use crate::wire::{Answer, BaseUri, Wire};
use crate::{Endpoint, ErrorKind, InvalidSetting, ListRequest, ObjectMeta, Op, PutOptions, StorageError};
pub(crate) use account::{Account, Accounts};
use bucket::Bucket;
pub(crate) use bucket::service;
use list::Item;

/// The limit of V4 signatures: seven days.
const LONGEST_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const GENERATION: HeaderName = HeaderName::from_static("x-goog-generation");

/// Reads an answer to `objects.list` as the client does, for tests with answers that no real server gives.
#[cfg(feature = "conformance")]
pub fn read_gcs_listing(body: &[u8]) -> Option<ListPage> {
    match list::parse(body).and_then(|listing| listing.into_page(None, 1_000)).ok()? {
        ListingAnswer::Page(page) => Some(page),
        ListingAnswer::More(_) => None,
    }
}

/// One bucket.
pub(crate) struct Gcs {
    bucket: Bucket,
    account: Arc<Account>,
}

/// Checks the settings as far as possible without a request.
pub(crate) fn check(connection: &GcsConnection) -> Result<(), InvalidSetting> {
    bucket::check_name(&connection.bucket)
}

impl Gcs {
    /// Opens a bucket; makes no request yet.
    pub(crate) fn open(
        connection: &GcsConnection,
        prefix: String,
        service: BaseUri,
        account: Arc<Account>,
        wire: Arc<Wire>,
    ) -> Result<CloudStorage<Self>, InvalidSetting> {
        let bucket = Bucket::new(&connection.bucket, service)?;
        Ok(CloudStorage::new(Self { bucket, account }, prefix, wire))
    }
}

#[async_trait]
impl Cloud for Gcs {
    /// The value of the `Authorization` header. It is fetched before the call waits for its permit, because the token
    /// server may share the bucket's endpoint.
    const ORDER_IS_DOCUMENTED: bool = true;

    type Grant = HeaderValue;

    fn kind(&self) -> StorageKind {
        StorageKind::Gcs
    }

    fn authority(&self) -> &str {
        self.bucket.service.authority()
    }

    fn endpoint(&self) -> Endpoint {
        self.bucket.service.endpoint()
    }

    async fn grant(&self, wire: &Wire) -> Result<HeaderValue, StorageError> {
        self.account.authorization(wire).await
    }

    async fn authorize(&self, _: Op, request: &mut Request<Bytes>, token: &HeaderValue) -> Result<(), StorageError> {
        request.headers_mut().insert(header::AUTHORIZATION, token.clone());
        Ok(())
    }

    async fn renew(&self, token: &HeaderValue) -> bool {
        self.account.forget(token).await;
        true
    }

    fn refusal(&self, op: Op, answer: &Answer) -> StorageError {
        failure::refusal_error(op, answer)
    }

    fn request(&self, op: Op, key: &str) -> Result<CloudRequest, StorageError> {
        let object = |parameters| self.bucket.object(key, parameters);
        match op {
            Op::Delete => CloudRequest::new(op, Method::DELETE, object(&[])),
            Op::Head => CloudRequest::new(op, Method::GET, object(&[("fields", list::OBJECT_FIELDS)])),
            Op::Connect | Op::List | Op::Get | Op::Put | Op::Presign => {
                CloudRequest::new(op, Method::GET, object(&[("alt", "media")]))
            }
        }
    }

    /// Requests an object that was uploaded with `Content-Encoding: gzip` as it is; without the header it arrives
    /// decompressed.
    fn as_stored(&self, request: CloudRequest) -> CloudRequest {
        request.with(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))
    }

    fn put_request(&self, key: &str, options: &PutOptions) -> Result<CloudRequest, StorageError> {
        // This checks the key, which the query of the upload URI does not.
        CloudRequest::new(Op::Put, Method::PUT, self.bucket.object(key, &[]))?;
        let mut parameters = vec![("uploadType", "media"), ("fields", list::OBJECT_FIELDS), ("name", key)];
        parameters.extend(options.kms_key_id.as_deref().map(|id| ("kmsKeyName", id)));
        let request = CloudRequest::new(Op::Put, Method::POST, self.bucket.upload(&parameters))?;
        let content_type = options.content_type.unwrap_or("application/octet-stream");
        Ok(request.with(header::CONTENT_TYPE, HeaderValue::from_static(content_type)))
    }

    fn list_request(
        &self,
        request: &ListRequest<'_>,
        token: Option<&str>,
    ) -> Result<Option<CloudRequest>, StorageError> {
        let (_, max_results) = list::limits(request.limit, request.start());
        let max_results = max_results.to_string();
        let mut parameters =
            vec![("fields", list::FIELDS), ("maxResults", max_results.as_str()), ("prefix", request.prefix)];
        parameters.extend(request.delimiter.map(|delimiter| ("delimiter", delimiter)));
        parameters.extend(request.start().map(|after| ("startOffset", after)));
        parameters.extend(token.map(|token| ("pageToken", token)));
        CloudRequest::new(Op::List, Method::GET, self.bucket.objects(&parameters)).map(Some)
    }

    fn read_listing(&self, request: &ListRequest<'_>, answer: &Answer) -> Result<ListingAnswer, StorageError> {
        let (limit, _) = list::limits(request.limit, request.start());
        let listing = list::parse(&answer.body)?;
        match request.paging {
            Paging::Key => Ok(listing.into_page(request.start(), limit)?),
            Paging::Token | Paging::Marker => Ok(listing.into_followed_page()),
        }
    }

    fn etag(&self, headers: &HeaderMap) -> Option<String> {
        headers.get(GENERATION)?.to_str().ok().map(str::to_owned)
    }

    fn md5(&self, headers: &HeaderMap) -> Option<[u8; 16]> {
        answer::md5(headers)
    }

    fn stored_size(&self, answer: &Answer) -> Option<u64> {
        answer::stored_size(&answer.headers)
    }

    fn read_put(&self, answer: &Answer) -> Result<Option<String>, StorageError> {
        item(Op::Put, answer).map(|object| object.etag)
    }

    fn read_head(&self, _: &str, answer: &Answer) -> Result<ObjectMeta, StorageError> {
        item(Op::Head, answer)
    }

    async fn presign(&self, key: &str, ttl: Duration) -> Result<Secret, StorageError> {
        let refusal_error = |kind, reason| StorageError::new(Op::Presign, kind, reason);
        let path = self
            .bucket
            .public_path(key)
            .ok_or_else(|| refusal_error(ErrorKind::Invalid, FailureReason::InvalidSettings))?;
        // A person has a token but no private key, and a token must never be part of a URL.
        let account =
            self.account.signer().ok_or_else(|| refusal_error(ErrorKind::Denied, FailureReason::NoSignedUrls))?;
        let ttl = ttl.clamp(Duration::from_secs(1), LONGEST_TTL);
        let service = &self.bucket.service;
        sign::url(account, service.scheme(), service.authority(), &path, ttl, Timestamp::now())
            .map(Secret::new)
            .map_err(|error| {
                StorageError::with_source(Op::Presign, ErrorKind::Invalid, FailureReason::WrongSecretKey, error)
            })
    }

    fn uri(&self, key: &str) -> String {
        format!("gs://{}/{key}", self.bucket.name)
    }
}

/// Reads the metadata of one object from an answer.
fn item(op: Op, answer: &Answer) -> Result<ObjectMeta, StorageError> {
    serde_json::from_slice(&answer.body).map(|item: Item| item.into()).map_err(|error| {
        let kind = if error.is_eof() { ErrorKind::Unavailable } else { ErrorKind::Invalid };
        // The parser's message may quote the answer.
        StorageError::new(op, kind, FailureReason::BadAnswer)
    })
}
