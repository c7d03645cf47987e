//! Google Cloud Storage by its JSON API.
//!
//! An object's etag is its `generation`: every write of content makes a new one, a change of metadata
//! does not, and listings, reads and writes all tell it. (Cloud Storage's own etag changes with
//! metadata, and composed objects have no MD5.)

mod account;
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
use chrono::Utc;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use longshore_model::{FailureReason, GcsConnection, Secret, StorageKind};

use crate::probe;
use crate::wire::{self, Answer, Call, Wire};
use crate::{
    Endpoint, ErrorKind, InvalidSetting, ListPage, ListRequest, ObjectBody, ObjectMeta, ObjectStream, Op, Probe,
    PutOptions, Range, Storage, StorageError,
};
pub(crate) use account::{Account, Accounts};
use bucket::Bucket;
pub(crate) use bucket::Service;
use list::{Item, Read, Unlisted};

/// A page of 1,000 keys of 1,024 bytes, each byte escaped to six and told with its details, is 7 MB.
const LONGEST_LISTING: u64 = 16 * 1024 * 1024;

/// V4 allows no longer validity of a signed URL: seven days.
const LONGEST_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const GENERATION: HeaderName = HeaderName::from_static("x-goog-generation");

/// Asks for what was uploaded with `Content-Encoding: gzip` as it is: without, it comes unpacked.
const AS_STORED: (HeaderName, HeaderValue) = (header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));

/// Reads an answer to `objects.list` as the client does, for tests that give it what no server would.
#[cfg(feature = "conformance")]
pub fn read_gcs_listing(body: &[u8]) -> Option<ListPage> {
    match list::parse(body).and_then(|listing| listing.into_page(None, 1_000)).ok()? {
        Read::Page(page) => Some(page),
        Read::Later(_) => None,
    }
}

/// One bucket.
pub(crate) struct Gcs {
    bucket: Bucket,
    /// As it is listed with: empty or ending in `/`.
    prefix: String,
    account: Arc<Account>,
    wire: Arc<Wire>,
}

/// A request before it is authorized.
struct Ask {
    op: Op,
    method: Method,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    max_bytes: u64,
}

/// Checks settings for what can be known without asking the storage.
pub(crate) fn check(connection: &GcsConnection) -> Result<(), InvalidSetting> {
    bucket::check_name(&connection.bucket)
}

impl Gcs {
    /// Prepares a bucket; asks nothing of anyone yet.
    pub(crate) fn new(
        connection: &GcsConnection,
        prefix: String,
        service: Service,
        account: Arc<Account>,
        wire: Arc<Wire>,
    ) -> Result<Self, InvalidSetting> {
        Ok(Self { bucket: Bucket::new(&connection.bucket, service)?, prefix, account, wire })
    }

    /// A request to a URI that could be made, or the refusal of a key that no bucket can have.
    fn ask(&self, op: Op, method: Method, uri: Option<Uri>) -> Result<Ask, StorageError> {
        let uri = uri.ok_or_else(|| StorageError::new(op, ErrorKind::Invalid, FailureReason::InvalidSettings))?;
        Ok(Ask { op, method, uri, headers: Vec::new(), body: Bytes::new(), max_bytes: LONGEST_LISTING })
    }

    /// A request for an object or a range of it.
    fn ask_object(&self, key: &str, range: Option<Range>) -> Result<Ask, StorageError> {
        let mut ask = self.ask(Op::Get, Method::GET, self.bucket.object(key, &[("alt", "media")]))?;
        if let Some(range) = range {
            ask.headers.push((header::RANGE, wire::range_header(range)));
        }
        Ok(ask)
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
        self.authorized(|token| {
            let (ask, judge) = (&ask, &judge);
            async move { self.wire.call(self.call(ask), || async { Ok(self.request(ask, &token)) }, judge).await }
        })
        .await
    }

    fn call(&self, ask: &Ask) -> Call<'_> {
        let endpoint = self.bucket.service().authority();
        Call { kind: StorageKind::Gcs, op: ask.op, endpoint, max_bytes: ask.max_bytes }
    }

    /// Makes an attempt with a token, and one more with a fresh one where that is refused.
    ///
    /// The token is fetched before the attempt enters the wire: waiting for it there would hold a place
    /// that fetching it may need.
    async fn authorized<T: Send, Fut: Future<Output = Result<T, StorageError>> + Send>(
        &self,
        attempt: impl Fn(HeaderValue) -> Fut + Send + Sync,
    ) -> Result<T, StorageError> {
        let token = self.account.authorization(&self.wire).await?;
        match attempt(token.clone()).await {
            // Revoked before its end, or the clock stood still for a while.
            Err(error) if error.reason == FailureReason::ExpiredCredentials => {
                self.account.forget(&token).await;
                attempt(self.account.authorization(&self.wire).await?).await
            }
            result => result,
        }
    }

    fn request(&self, ask: &Ask, token: &HeaderValue) -> Request<Bytes> {
        let mut request = Request::new(ask.body.clone());
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = ask.uri.clone();
        let headers = request.headers_mut();
        headers.extend(ask.headers.iter().cloned());
        headers.insert(header::AUTHORIZATION, token.clone());
        if ask.method == Method::POST {
            // An empty body needs its length too.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(ask.body.len()));
        }
        request
    }

    async fn list(&self, parameters: &[(&str, &str)], after: Option<&str>, limit: usize) -> Result<Read, StorageError> {
        let ask = self.ask(Op::List, Method::GET, self.bucket.objects(parameters))?;
        self.send(ask, |answer| {
            list::parse(&answer.body).and_then(|listing| listing.into_page(after, limit)).map_err(unlisted)
        })
        .await
    }
}

#[async_trait]
impl Storage for Gcs {
    async fn list_page(&self, request: ListRequest<'_>) -> Result<ListPage, StorageError> {
        let after = request.cursor.or(request.after).filter(|after| !after.is_empty());
        let (limit, asked) = list::limits(request.limit, after);
        let asked = asked.to_string();
        let mut parameters = vec![("fields", list::FIELDS), ("maxResults", asked.as_str()), ("prefix", request.prefix)];
        parameters.extend(request.delimiter.map(|delimiter| ("delimiter", delimiter)));
        parameters.extend(after.map(|after| ("startOffset", after)));
        let mut read = self.list(&parameters, after, limit).await?;
        while let Read::Later(token) = read {
            let mut parameters = parameters.clone();
            parameters.push(("pageToken", &token));
            read = self.list(&parameters, after, limit).await?;
            if matches!(&read, Read::Later(next) if *next == token) {
                return Err(unlisted(Unlisted::DoesNotAdvance));
            }
        }
        match read {
            Read::Page(page) => Ok(page),
            Read::Later(_) => Err(unlisted(Unlisted::DoesNotAdvance)),
        }
    }

    async fn get(&self, key: &str, range: Option<Range>, max_bytes: u64) -> Result<ObjectBody, StorageError> {
        let mut ask = self.ask_object(key, range)?;
        if key.ends_with(".gz") {
            // Else what was uploaded with `Content-Encoding: gzip` comes unpacked, under a name that says it is not.
            ask.headers.push(AS_STORED);
        }
        ask.max_bytes = max_bytes;
        self.send(ask, |answer| {
            wire::check_range(range, answer.status, answer.header(header::CONTENT_RANGE))?;
            Ok(ObjectBody {
                bytes: answer.body.clone(),
                etag: answer.header(GENERATION).map(str::to_owned),
                content_type: answer.header(header::CONTENT_TYPE).map(str::to_owned),
            })
        })
        .await
    }

    async fn stream(&self, key: &str, range: Option<Range>) -> Result<ObjectStream, StorageError> {
        let mut ask = self.ask_object(key, range)?;
        // Unpacked on the way, an object has no length that could be told, and no parts.
        ask.headers.push(AS_STORED);
        let refused = |answer: &Answer| failure::refused(Op::Get, answer);
        let flow = self
            .authorized(|token| {
                let (ask, refused) = (&ask, &refused);
                async move { self.wire.stream(self.call(ask), || async { Ok(self.request(ask, &token)) }, refused).await }
            })
            .await?;
        wire::check_range(range, flow.status, flow.header(header::CONTENT_RANGE))?;
        let etag = flow.header(GENERATION).map(str::to_owned);
        flow.object(etag)
    }

    async fn put(&self, key: &str, body: Bytes, options: &PutOptions) -> Result<Option<String>, StorageError> {
        // In a path, the key is checked; in a query, it would not be.
        self.ask(Op::Put, Method::PUT, self.bucket.object(key, &[]))?;
        let mut parameters = vec![("uploadType", "media"), ("fields", list::OBJECT_FIELDS), ("name", key)];
        parameters.extend(options.kms_key_id.as_deref().map(|id| ("kmsKeyName", id)));
        let mut ask = self.ask(Op::Put, Method::POST, self.bucket.upload(&parameters))?;
        let content_type = options.content_type.unwrap_or("application/octet-stream");
        ask.headers.push((header::CONTENT_TYPE, HeaderValue::from_static(content_type)));
        ask.body = body;
        self.send(ask, |answer| item(Op::Put, answer).map(|object| object.etag)).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let ask = self.ask(Op::Delete, Method::DELETE, self.bucket.object(key, &[]))?;
        match self.send(ask, |_| Ok(())).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StorageError> {
        let ask = self.ask(Op::Head, Method::GET, self.bucket.object(key, &[("fields", list::OBJECT_FIELDS)]))?;
        self.send(ask, |answer| item(Op::Head, answer)).await
    }

    async fn probe(&self, probe: Probe) -> Result<(), StorageError> {
        probe::by_calls(self, &self.prefix, None, probe).await
    }

    async fn presign(&self, key: &str, ttl: Duration) -> Result<Secret, StorageError> {
        let refused = |kind, reason| StorageError::new(Op::Presign, kind, reason);
        let path =
            self.bucket.public_path(key).ok_or_else(|| refused(ErrorKind::Invalid, FailureReason::InvalidSettings))?;
        // A person has no key, only a token: that never belongs into a URL.
        let account = self.account.signer().ok_or_else(|| refused(ErrorKind::Denied, FailureReason::NoSignedUrls))?;
        let ttl = ttl.clamp(Duration::from_secs(1), LONGEST_TTL);
        let service = self.bucket.service();
        sign::url(account, service.scheme(), service.authority(), &path, ttl, Utc::now()).map(Secret::new).map_err(
            |error| StorageError::caused(Op::Presign, ErrorKind::Invalid, FailureReason::WrongSecretKey, error),
        )
    }

    fn uri(&self, key: &str) -> String {
        format!("gs://{}/{key}", self.bucket.name)
    }

    fn endpoint(&self) -> Option<Endpoint> {
        Some(self.bucket.service().place())
    }
}

/// An answer that tells of one object.
fn item(op: Op, answer: &Answer) -> Result<ObjectMeta, StorageError> {
    serde_json::from_slice(&answer.body).map(|item: Item| item.into()).map_err(|error| {
        let kind = if error.is_eof() { ErrorKind::Unavailable } else { ErrorKind::Invalid };
        // The parser's words may quote the answer.
        StorageError::new(op, kind, FailureReason::BadAnswer)
    })
}

fn unlisted(error: Unlisted) -> StorageError {
    let (kind, reason) = match error {
        // The next try may bring the rest.
        Unlisted::CutShort => (ErrorKind::Unavailable, FailureReason::Unavailable),
        Unlisted::NotAListing | Unlisted::DoesNotAdvance => (ErrorKind::Invalid, FailureReason::BadAnswer),
    };
    StorageError::caused(Op::List, kind, reason, error)
}
