//! S3 and compatible stores.

mod bucket;
mod credentials;
mod default_chain;
mod failure;
mod list;
mod md5;
mod page;
mod profile;
mod role;
mod sign;
mod version;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::uri::InvalidUri;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use longshore_model::kinds::KindConnection;
use longshore_model::{FailureReason, Paging, S3Connection, S3sConnection, Secret, StorageKind};
use percent_encoding::utf8_percent_encode;

use crate::cloud::{Cloud, CloudRequest, CloudStorage, ListingAnswer, ListingError};
use crate::wire::{Answer, QUERY, Wire};
use crate::{Endpoint, ErrorKind, InvalidSetting, ListRequest, Op, PutOptions, StorageError};
use bucket::Bucket;
pub(crate) use credentials::{CredentialSource, from_fields};
pub(crate) use default_chain::DefaultChain;
pub use list::read_listing;
pub(crate) use profile::UnsupportedProfile;
pub(crate) use role::Roles;
use sign::{Payload, SigningError};
use version::ListVersion;

/// The limit of `SigV4`: seven days.
const LONGEST_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// One bucket.
pub(crate) struct S3 {
    bucket: Bucket,
    kms_key_id: Option<String>,
    credentials: CredentialSource,
    version: ListVersion,
}

/// The access key ID that signed the last try of a call.
pub(crate) type UsedKey = Mutex<Option<String>>;

/// Checks the settings as far as possible without a request.
pub(crate) fn check(connection: &S3Connection, default_region: &str) -> Result<(), InvalidSetting> {
    Bucket::new(connection, default_region)?;
    kms_key_id(connection)?;
    Ok(())
}

/// The same for a bucket that is accessed with a role.
pub(crate) fn check_s3s(connection: &S3sConnection, default_region: &str) -> Result<(), InvalidSetting> {
    check(&connection.s3, default_region)?;
    role::check_role(connection)
}

fn kms_key_id(connection: &S3Connection) -> Result<Option<String>, InvalidSetting> {
    let id = connection.kms_key_id();
    match id {
        Some(id) if !id.bytes().all(|b| b.is_ascii_graphic()) => Err(InvalidSetting::new(
            "aws_sse_kms_key_id",
            "a KMS key ID or ARN may contain only ASCII characters, without spaces",
        )),
        id => Ok(id.map(str::to_owned)),
    }
}

impl S3 {
    /// Opens a bucket; makes no request yet.
    pub(crate) fn open(
        connection: &S3Connection,
        prefix: String,
        credentials: CredentialSource,
        wire: Arc<Wire>,
        default_region: &str,
    ) -> Result<CloudStorage<Self>, InvalidSetting> {
        let bucket = Bucket::new(connection, default_region)?;
        let s3 = Self { bucket, kms_key_id: kms_key_id(connection)?, credentials, version: ListVersion::default() };
        Ok(CloudStorage::new(s3, prefix, wire))
    }
}

#[async_trait]
impl Cloud for S3 {
    /// Only AWS documents it; many compatible servers differ.
    const ORDER_IS_DOCUMENTED: bool = false;
    const HAS_MARKERS: bool = true;

    type Grant = UsedKey;

    fn kind(&self) -> StorageKind {
        match self.credentials {
            CredentialSource::Fields(_) | CredentialSource::DefaultChain(_) => StorageKind::S3,
            CredentialSource::Role(_) => StorageKind::S3s,
        }
    }

    fn authority(&self) -> &str {
        self.bucket.base.authority()
    }

    fn endpoint(&self) -> Endpoint {
        self.bucket.base.endpoint()
    }

    /// Fetches nothing: credentials are fetched for each try, so that a short failure of the service that issues them
    /// is retried like one of the bucket.
    async fn grant(&self, _: &Wire) -> Result<UsedKey, StorageError> {
        Ok(UsedKey::default())
    }

    async fn authorize(&self, op: Op, request: &mut Request<Bytes>, used: &UsedKey) -> Result<(), StorageError> {
        let credentials = self.credentials.get(op).await?;
        *used.lock().unwrap_or_else(PoisonError::into_inner) = Some(credentials.access_key_id().to_owned());
        let payload = if self.bucket.base.is_encrypted() { Payload::Unsigned } else { Payload::Signed };
        sign::headers(request, &credentials, &self.bucket.region, payload, SystemTime::now())
            .map_err(|error| signing_error(op, error))
    }

    async fn renew(&self, used: &UsedKey) -> bool {
        let used = used.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (self.credentials.cache(), used) {
            (Some(cache), Some(used)) => {
                cache.forget(|credentials| credentials.access_key_id() == used).await;
                true
            }
            _ => false,
        }
    }

    fn refusal(&self, op: Op, answer: &Answer) -> StorageError {
        failure::refusal_error(op, answer)
    }

    fn request(&self, op: Op, key: &str) -> Result<CloudRequest, StorageError> {
        let method = match op {
            Op::Put => Method::PUT,
            Op::Delete => Method::DELETE,
            Op::Head => Method::HEAD,
            Op::Connect | Op::List | Op::Get | Op::Presign => Method::GET,
        };
        CloudRequest::new(op, method, self.bucket.object(key))
    }

    fn put_request(&self, key: &str, options: &PutOptions) -> Result<CloudRequest, StorageError> {
        let mut request = self.request(Op::Put, key)?;
        if let Some(content_type) = options.content_type {
            request = request.with(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if let Some(id) = &options.kms_key_id {
            let id = HeaderValue::from_str(id).map_err(|error| {
                StorageError::with_source(Op::Put, ErrorKind::Invalid, FailureReason::InvalidSettings, error)
            })?;
            let encryption = HeaderName::from_static("x-amz-server-side-encryption");
            request = request
                .with(encryption, HeaderValue::from_static("aws:kms"))
                .with(HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id"), id);
        }
        Ok(request)
    }

    fn list_request(
        &self,
        request: &ListRequest<'_>,
        token: Option<&str>,
    ) -> Result<Option<CloudRequest>, StorageError> {
        let limit = request.limit.clamp(1, 1_000).to_string();
        // The order does not matter for signatures, but sorted parameters are easier to read in a trace.
        let mut parameters = Vec::with_capacity(7);
        let is_first_version = request.paging == Paging::Marker || self.version.is_first();
        // The token says where to go on; some servers take exception to a start beside it.
        let start = request.start().filter(|_| token.is_none() && request.paging == Paging::Key);
        parameters.extend(token.filter(|_| !is_first_version).map(|token| ("continuation-token", token)));
        parameters.extend(request.delimiter.map(|delimiter| ("delimiter", delimiter)));
        parameters.push(("encoding-type", "url"));
        parameters.extend((!is_first_version).then_some(("list-type", "2")));
        // In key order, the marker of the first version is a key to start after.
        parameters.extend(token.or(start).filter(|_| is_first_version).map(|marker| ("marker", marker)));
        parameters.extend([("max-keys", limit.as_str()), ("prefix", request.prefix)]);
        parameters.extend(start.filter(|_| !is_first_version).map(|after| ("start-after", after)));
        CloudRequest::new(Op::List, Method::GET, self.bucket.query(&parameters)).map(Some)
    }

    fn begin_fallback(&self, error: &StorageError) -> bool {
        self.version.begin_fallback(error)
    }

    fn end_fallback(&self, is_answered: Option<bool>) {
        self.version.end_fallback(is_answered);
    }

    fn listing_answered(&self) {
        self.version.settle();
    }

    fn read_listing(&self, request: &ListRequest<'_>, answer: &Answer) -> Result<ListingAnswer, StorageError> {
        // The first version has markers in place of tokens.
        let has_markers = request.paging == Paging::Token && self.version.is_first();
        let request = ListRequest { paging: if has_markers { Paging::Marker } else { request.paging }, ..*request };
        match list::parse(&answer.body, request.raw_keys).and_then(|listing| listing.into_page(&request)) {
            Ok(answer) => Ok(answer),
            Err(ListingError::Refused(code)) => Err(failure::from_code(Op::List, answer, &code)),
            Err(error) => Err(error.into()),
        }
    }

    fn md5(&self, headers: &HeaderMap) -> Option<[u8; 16]> {
        md5::of(headers)
    }

    fn kms_key_id(&self) -> Option<String> {
        self.kms_key_id.clone()
    }

    async fn presign(&self, key: &str, ttl: Duration) -> Result<Secret, StorageError> {
        let request = self.request(Op::Presign, key)?;
        let uri = with_content_type(&request.uri, key).map_err(|error| {
            StorageError::with_source(Op::Presign, ErrorKind::Invalid, FailureReason::InvalidSettings, error)
        })?;
        let ttl = ttl.clamp(Duration::from_secs(1), LONGEST_TTL);
        let credentials = self.credentials.get(Op::Presign).await?;
        let now = SystemTime::now();
        sign::url(&uri, self.bucket.base.authority(), &credentials, &self.bucket.region, ttl, now)
            .map(Secret::new)
            .map_err(|error| signing_error(Op::Presign, error))
    }

    fn uri(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket.name)
    }
}

/// The URI that makes S3 answer with the type of the key's extension, as Label Studio's presigned URLs do. Many objects are
/// stored without a type, and browsers download what comes as `binary/octet-stream`.
fn with_content_type(uri: &Uri, key: &str) -> Result<Uri, InvalidUri> {
    let guessed = mime_guess::from_path(Path::new(key)).first_raw();
    match guessed.filter(|content_type| *content_type != "application/octet-stream") {
        Some(content_type) => {
            format!("{uri}?response-content-type={}", utf8_percent_encode(content_type, QUERY)).parse()
        }
        None => Ok(uri.clone()),
    }
}

fn signing_error(op: Op, error: SigningError) -> StorageError {
    StorageError::with_source(op, ErrorKind::Invalid, FailureReason::InvalidSettings, error)
}
