//! S3 and stores that speak its language.

mod bucket;
mod credentials;
mod failure;
mod held;
mod list;
mod role;
mod sign;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use longshore_model::{FailureReason, S3Connection, S3sConnection, Secret, StorageKind};

use crate::probe;
use crate::wire::{self, Answer, Call, Flow, Wire};
use crate::{
    Endpoint, ErrorKind, InvalidSetting, ListPage, ListRequest, ObjectBody, ObjectMeta, ObjectStream, Op, Probe,
    PutOptions, Range, Storage, StorageError,
};
use bucket::Bucket;
pub(crate) use credentials::{Ambient, Keys, own};
use list::Unlisted;
pub use list::read_listing;
pub(crate) use role::Roles;
use sign::{Payload, Unsignable};

/// A page of 1,000 keys of 1,024 bytes, each byte escaped to three and told with its details, is 4 MB.
const LONGEST_LISTING: u64 = 16 * 1024 * 1024;

/// `SigV4` allows no longer validity of a signed URL: seven days.
const LONGEST_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// One bucket.
pub(crate) struct S3 {
    bucket: Bucket,
    /// As it is listed with: empty or ending in `/`.
    prefix: String,
    kms_key_id: Option<String>,
    keys: Keys,
    wire: Arc<Wire>,
}

/// A request before it is signed.
struct Ask {
    op: Op,
    method: Method,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    max_bytes: u64,
}

/// Checks settings for what can be known without asking the storage.
pub(crate) fn check(connection: &S3Connection, default_region: &str) -> Result<(), InvalidSetting> {
    Bucket::new(connection, default_region)?;
    kms_key_id(connection)?;
    Ok(())
}

/// The same for a bucket that is reached as a role.
pub(crate) fn check_s3s(connection: &S3sConnection, default_region: &str) -> Result<(), InvalidSetting> {
    check(&connection.s3, default_region)?;
    role::check_role(connection)
}

fn kms_key_id(connection: &S3Connection) -> Result<Option<String>, InvalidSetting> {
    let id = connection.aws_sse_kms_key_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    match id {
        Some(id) if !id.bytes().all(|b| b.is_ascii_graphic()) => Err(InvalidSetting::new(
            "aws_sse_kms_key_id",
            "a KMS key id or ARN has no spaces and only ASCII characters",
        )),
        id => Ok(id.map(str::to_owned)),
    }
}

impl S3 {
    /// Prepares a bucket; asks nothing of anyone yet.
    pub(crate) fn new(
        connection: &S3Connection,
        prefix: String,
        keys: Keys,
        wire: Arc<Wire>,
        default_region: &str,
    ) -> Result<Self, InvalidSetting> {
        Ok(Self {
            bucket: Bucket::new(connection, default_region)?,
            prefix,
            kms_key_id: kms_key_id(connection)?,
            keys,
            wire,
        })
    }

    fn ask(&self, op: Op, method: Method, uri: Uri) -> Ask {
        Ask { op, method, uri, headers: Vec::new(), body: Bytes::new(), max_bytes: LONGEST_LISTING }
    }

    /// A request for an object or a range of it.
    fn ask_object(&self, key: &str, range: Option<Range>) -> Result<Ask, StorageError> {
        let mut ask = self.ask(Op::Get, Method::GET, self.object(Op::Get, key)?);
        if let Some(range) = range {
            ask.headers.push((header::RANGE, wire::range_header(range)));
        }
        Ok(ask)
    }

    /// The URI of a key, or the refusal of one that no bucket can have.
    fn object(&self, op: Op, key: &str) -> Result<Uri, StorageError> {
        self.bucket.object(key).ok_or_else(|| StorageError::new(op, ErrorKind::Invalid, FailureReason::InvalidSettings))
    }

    /// Sends a request until it succeeds or fails for good; `read` gets successful answers only.
    async fn send<T: Send>(
        &self,
        ask: Ask,
        read: impl Fn(&Answer) -> Result<T, StorageError> + Send + Sync,
    ) -> Result<T, StorageError> {
        let judge = |answer: Answer| {
            if answer.status.is_success() { read(&answer) } else { Err(failure::refused(ask.op, &answer)) }
        };
        let used = Mutex::new(None);
        let sign = || self.signed(&ask, &used);
        self.renewing(&used, || self.wire.call(self.call(&ask), sign, judge)).await
    }

    /// The same, with the answer's body left on its way.
    async fn flow(&self, ask: Ask) -> Result<Flow, StorageError> {
        let used = Mutex::new(None);
        let sign = || self.signed(&ask, &used);
        let refused = |answer: &Answer| failure::refused(ask.op, answer);
        self.renewing(&used, || self.wire.stream(self.call(&ask), sign, refused)).await
    }

    fn call<'a>(&'a self, ask: &Ask) -> Call<'a> {
        let kind = match self.keys {
            Keys::Own(_) | Keys::Ambient(_) => StorageKind::S3,
            Keys::Role(_) => StorageKind::S3s,
        };
        Call { kind, op: ask.op, endpoint: self.bucket.endpoint(), max_bytes: ask.max_bytes }
    }

    /// Tries once more with fresh credentials where those that were used turn out to have expired.
    async fn renewing<T, Fut: Future<Output = Result<T, StorageError>>>(
        &self,
        used: &Mutex<Option<String>>,
        attempt: impl Fn() -> Fut,
    ) -> Result<T, StorageError> {
        let result = attempt().await;
        let expired = matches!(&result, Err(error) if error.reason == FailureReason::ExpiredCredentials);
        let old = used.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (self.keys.held(), old) {
            // They may have been replaced early.
            (Some(held), Some(old)) if expired => {
                held.forget(&old).await;
                attempt().await
            }
            _ => result,
        }
    }

    /// Signs anew for each try: a signature is good for minutes, temporary keys may change.
    ///
    /// Leaves the access key that it used in `used`.
    async fn signed(&self, ask: &Ask, used: &Mutex<Option<String>>) -> Result<Request<Bytes>, StorageError> {
        let credentials = self.keys.get(ask.op).await?;
        *used.lock().unwrap_or_else(PoisonError::into_inner) = Some(credentials.access_key_id().to_owned());
        let mut request = Request::new(ask.body.clone());
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = ask.uri.clone();
        let host = HeaderValue::from_str(self.bucket.endpoint()).map_err(|error| internal(ask.op, error))?;
        request.headers_mut().insert(header::HOST, host);
        for (name, value) in &ask.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let payload = if self.bucket.is_encrypted() { Payload::Unsigned } else { Payload::Signed };
        sign::headers(&mut request, &credentials, &self.bucket.region, payload, SystemTime::now())
            .map_err(|error| unsignable(ask.op, error))?;
        if ask.method == Method::PUT {
            // An empty body needs its length too; not signed, since a proxy may set it again.
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(ask.body.len()));
        }
        Ok(request)
    }
}

#[async_trait]
impl Storage for S3 {
    async fn list_page(&self, request: ListRequest<'_>) -> Result<ListPage, StorageError> {
        let after = request.cursor.or(request.after).filter(|after| !after.is_empty());
        let limit = request.limit.clamp(1, 1_000).to_string();
        // Signed URLs need no order, but a listing of parameters in order is easier to read in a trace.
        let mut parameters = Vec::with_capacity(6);
        parameters.extend(request.delimiter.map(|delimiter| ("delimiter", delimiter)));
        parameters.extend([("encoding-type", "url"), ("list-type", "2"), ("max-keys", limit.as_str())]);
        parameters.push(("prefix", request.prefix));
        parameters.extend(after.map(|after| ("start-after", after)));
        let uri = self
            .bucket
            .query(&parameters)
            .ok_or_else(|| StorageError::new(Op::List, ErrorKind::Invalid, FailureReason::InvalidSettings))?;

        self.send(self.ask(Op::List, Method::GET, uri), |answer| {
            list::parse(&answer.body)
                .and_then(|listing| listing.into_page(after))
                .map_err(|error| unlisted(answer, error))
        })
        .await
    }

    async fn get(&self, key: &str, range: Option<Range>, max_bytes: u64) -> Result<ObjectBody, StorageError> {
        let mut ask = self.ask_object(key, range)?;
        ask.max_bytes = max_bytes;
        self.send(ask, |answer| {
            wire::check_range(range, answer.status, answer.header(header::CONTENT_RANGE))?;
            Ok(ObjectBody {
                bytes: answer.body.clone(),
                etag: answer.header(header::ETAG).and_then(list::etag),
                content_type: answer.header(header::CONTENT_TYPE).map(str::to_owned),
            })
        })
        .await
    }

    async fn stream(&self, key: &str, range: Option<Range>) -> Result<ObjectStream, StorageError> {
        let flow = self.flow(self.ask_object(key, range)?).await?;
        wire::check_range(range, flow.status, flow.header(header::CONTENT_RANGE))?;
        let etag = flow.header(header::ETAG).and_then(list::etag);
        flow.object(etag)
    }

    async fn put(&self, key: &str, body: Bytes, options: &PutOptions) -> Result<Option<String>, StorageError> {
        let mut ask = self.ask(Op::Put, Method::PUT, self.object(Op::Put, key)?);
        ask.body = body;
        if let Some(content_type) = options.content_type {
            ask.headers.push((header::CONTENT_TYPE, HeaderValue::from_static(content_type)));
        }
        if let Some(id) = &options.kms_key_id {
            let id = HeaderValue::from_str(id).map_err(|error| {
                StorageError::caused(Op::Put, ErrorKind::Invalid, FailureReason::InvalidSettings, error)
            })?;
            ask.headers
                .push((HeaderName::from_static("x-amz-server-side-encryption"), HeaderValue::from_static("aws:kms")));
            ask.headers.push((HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id"), id));
        }
        self.send(ask, |answer| Ok(answer.header(header::ETAG).and_then(list::etag))).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let ask = self.ask(Op::Delete, Method::DELETE, self.object(Op::Delete, key)?);
        match self.send(ask, |_| Ok(())).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StorageError> {
        let ask = self.ask(Op::Head, Method::HEAD, self.object(Op::Head, key)?);
        self.send(ask, |answer| answer.object(key, answer.header(header::ETAG).and_then(list::etag))).await
    }

    async fn probe(&self, probe: Probe) -> Result<(), StorageError> {
        probe::by_calls(self, &self.prefix, self.kms_key_id.clone(), probe).await
    }

    async fn presign(&self, key: &str, ttl: Duration) -> Result<Secret, StorageError> {
        let uri = self.object(Op::Presign, key)?;
        let ttl = ttl.clamp(Duration::from_secs(1), LONGEST_TTL);
        let credentials = self.keys.get(Op::Presign).await?;
        let now = SystemTime::now();
        sign::url(uri, self.bucket.endpoint(), &credentials, &self.bucket.region, ttl, now)
            .map(Secret::new)
            .map_err(|error| unsignable(Op::Presign, error))
    }

    fn uri(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket.name)
    }

    fn endpoint(&self) -> Option<Endpoint> {
        Some(self.bucket.place())
    }
}

fn unlisted(answer: &Answer, error: Unlisted) -> StorageError {
    let (kind, reason) = match error {
        Unlisted::Refused(code) => return failure::coded(Op::List, answer, code),
        // The next try may bring the rest.
        Unlisted::CutShort => (ErrorKind::Unavailable, FailureReason::Unavailable),
        Unlisted::EmptyPage => (ErrorKind::Unavailable, FailureReason::BadAnswer),
        Unlisted::NotAListing | Unlisted::Lacks(_) | Unlisted::DoesNotAdvance => {
            (ErrorKind::Invalid, FailureReason::BadAnswer)
        }
    };
    StorageError::caused(Op::List, kind, reason, error)
}

fn unsignable(op: Op, error: Unsignable) -> StorageError {
    StorageError::caused(op, ErrorKind::Invalid, FailureReason::InvalidSettings, error)
}

fn internal(op: Op, error: impl std::error::Error + Send + Sync + 'static) -> StorageError {
    StorageError::caused(op, ErrorKind::Invalid, FailureReason::Internal, error)
}
