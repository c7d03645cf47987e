//! Azure Blob Storage, and emulators of it.

mod account;
mod container;
mod failure;
mod list;
mod sign;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::Utc;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use longshore_model::{AzureConnection, AzureSecrets, FailureReason, Secret, StorageKind};

use crate::probe;
use crate::wire::{Answer, Call, Wire, check_range, range_header};
use crate::{
    Endpoint, ErrorKind, InvalidSetting, ListPage, ListRequest, ObjectBody, ObjectMeta, ObjectStream, Op, Operator,
    Probe, PutOptions, Range, Storage, StorageError,
};
use account::Account;
use container::Container;
use list::{Start, Unlisted};

/// A page of 1,000 names of 1,024 characters, each escaped to twelve bytes, with the details that
/// Azure tells of each, is under 14 MB.
const LONGEST_LISTING: u64 = 16 * 1024 * 1024;

/// Reads an answer to `List Blobs` as the client does, for tests that give it what no server would.
#[cfg(feature = "conformance")]
pub fn read_azure_listing(body: &[u8]) -> Option<ListPage> {
    let (page, _) = list::parse(body).and_then(|listing| listing.into_page(&Start::after(None, "", None))).ok()?;
    Some(page)
}

/// One container.
pub(crate) struct Azure {
    container: Container,
    account: Account,
    /// As it is listed with: empty or ending in `/`.
    prefix: String,
    /// Whether a listing has shown that names come folder by folder.
    is_hierarchical: AtomicBool,
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

/// Checks settings for what can be known without asking the storage, and without its account.
pub(crate) fn check(connection: &AzureConnection) -> Result<(), InvalidSetting> {
    Container::new(connection, "anyaccount", None).map(drop)
}

impl Azure {
    /// Prepares a container; asks nothing of anyone yet.
    pub(crate) fn new(
        connection: &AzureConnection,
        prefix: String,
        secrets: &AzureSecrets,
        operator: &Operator,
        wire: Arc<Wire>,
    ) -> Result<Self, InvalidSetting> {
        let account = Account::of(connection, secrets, operator)?;
        let container = Container::new(connection, &account.name, operator.azure_endpoint.as_deref())?;
        Ok(Self { container, account, prefix, is_hierarchical: AtomicBool::new(false), wire })
    }

    fn ask(&self, op: Op, method: Method, uri: Uri) -> Ask {
        Ask { op, method, uri, headers: Vec::new(), body: Bytes::new(), max_bytes: LONGEST_LISTING }
    }

    /// The URI of a key, or the refusal of one that no container can have.
    fn object(&self, op: Op, key: &str) -> Result<Uri, StorageError> {
        self.container.object(key).ok_or_else(|| unusable(op))
    }

    /// The request for an object, or for a range of it.
    fn ask_object(&self, key: &str, range: Option<Range>) -> Result<Ask, StorageError> {
        let mut ask = self.ask(Op::Get, Method::GET, self.object(Op::Get, key)?);
        ask.headers.extend(range.map(|range| (header::RANGE, range_header(range))));
        Ok(ask)
    }

    fn call<'a>(&'a self, ask: &Ask) -> Call<'a> {
        Call { kind: StorageKind::Azure, op: ask.op, endpoint: self.container.endpoint(), max_bytes: ask.max_bytes }
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
        self.wire.call(self.call(&ask), async || self.signed(&ask), judge).await
    }

    /// Signs anew for each try: a signature is good for some minutes.
    fn signed(&self, ask: &Ask) -> Result<Request<Bytes>, StorageError> {
        let internal = |error: header::InvalidHeaderValue| {
            StorageError::caused(ask.op, ErrorKind::Invalid, FailureReason::Internal, error)
        };
        let mut request = Request::new(ask.body.clone());
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = ask.uri.clone();
        let host = HeaderValue::from_str(self.container.endpoint()).map_err(internal)?;
        request.headers_mut().insert(header::HOST, host);
        for (name, value) in &ask.headers {
            request.headers_mut().insert(name, value.clone());
        }
        if ask.method == Method::PUT {
            // An empty body needs its length too.
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(ask.body.len()));
        }
        sign::headers(&mut request, &self.account, Utc::now()).map_err(internal)?;
        Ok(request)
    }

    /// Asks for a page once; gives the marker to go on with where it holds nothing.
    async fn list_once(
        &self,
        parameters: &[(&str, &str)],
        start: &Start,
    ) -> Result<(ListPage, Option<String>), StorageError> {
        let uri = self.container.query(parameters).ok_or_else(|| unusable(Op::List))?;
        self.send(self.ask(Op::List, Method::GET, uri), |answer| {
            let listing = list::parse(&answer.body).map_err(unlisted)?;
            self.is_hierarchical.fetch_or(listing.is_hierarchical, Ordering::Relaxed);
            listing.into_page(start).map_err(unlisted)
        })
        .await
    }
}

#[async_trait]
impl Storage for Azure {
    async fn list_page(&self, request: ListRequest<'_>) -> Result<ListPage, StorageError> {
        let start = Start::after(request.cursor.or(request.after), request.prefix, request.delimiter);
        let limit = request.limit.clamp(1, 1_000).to_string();
        let mut parameters = vec![("restype", "container"), ("comp", "list"), ("maxresults", limit.as_str())];
        parameters.extend((!request.prefix.is_empty()).then_some(("prefix", request.prefix)));
        parameters.extend(request.delimiter.map(|delimiter| ("delimiter", delimiter)));
        match &start {
            Start::Beginning => {}
            Start::From { name, .. } => parameters.push(("startFrom", name)),
            Start::End => return Ok(ListPage::default()),
        }
        // Azure may give a page of nothing and say that there is more; so does a page of the start alone.
        let mut marker: Option<String> = None;
        loop {
            let mut parameters = parameters.clone();
            parameters.extend(marker.as_deref().map(|marker| ("marker", marker)));
            match self.list_once(&parameters, &start).await? {
                (_, Some(more)) if marker.as_ref() != Some(&more) => marker = Some(more),
                (_, Some(_)) => return Err(unlisted(Unlisted::DoesNotAdvance)),
                (page, None) => return Ok(page),
            }
        }
    }

    async fn get(&self, key: &str, range: Option<Range>, max_bytes: u64) -> Result<ObjectBody, StorageError> {
        let mut ask = self.ask_object(key, range)?;
        ask.max_bytes = max_bytes;
        self.send(ask, |answer| {
            check_range(range, answer.status, answer.header(header::CONTENT_RANGE))?;
            Ok(ObjectBody {
                bytes: answer.body.clone(),
                etag: answer.header(header::ETAG).and_then(list::etag),
                content_type: answer.header(header::CONTENT_TYPE).map(str::to_owned),
            })
        })
        .await
    }

    async fn stream(&self, key: &str, range: Option<Range>) -> Result<ObjectStream, StorageError> {
        let ask = self.ask_object(key, range)?;
        let refused = |answer: &Answer| failure::refused(ask.op, answer);
        let flow = self.wire.stream(self.call(&ask), async || self.signed(&ask), refused).await?;
        check_range(range, flow.status, flow.header(header::CONTENT_RANGE))?;
        let etag = flow.header(header::ETAG).and_then(list::etag);
        flow.object(etag)
    }

    async fn put(&self, key: &str, body: Bytes, options: &PutOptions) -> Result<Option<String>, StorageError> {
        let mut ask = self.ask(Op::Put, Method::PUT, self.object(Op::Put, key)?);
        ask.body = body;
        ask.headers.push((HeaderName::from_static("x-ms-blob-type"), HeaderValue::from_static("BlockBlob")));
        if let Some(content_type) = options.content_type {
            ask.headers.push((header::CONTENT_TYPE, HeaderValue::from_static(content_type)));
        }
        self.send(ask, |answer| Ok(answer.header(header::ETAG).and_then(list::etag))).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let mut ask = self.ask(Op::Delete, Method::DELETE, self.object(Op::Delete, key)?);
        // A blob with snapshots is not deleted without them.
        ask.headers.push((HeaderName::from_static("x-ms-delete-snapshots"), HeaderValue::from_static("include")));
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
        probe::by_calls(self, &self.prefix, None, probe).await
    }

    async fn presign(&self, key: &str, ttl: Duration) -> Result<Secret, StorageError> {
        if !sign::is_unambiguous(key) {
            // It is streamed instead.
            return Err(StorageError::new(Op::Presign, ErrorKind::Invalid, FailureReason::NoSignedUrls));
        }
        let ttl = ttl.max(Duration::from_secs(1));
        sign::url(&self.container, &self.account, key, ttl, Utc::now())
            .map(Secret::new)
            .ok_or_else(|| unusable(Op::Presign))
    }

    fn uri(&self, key: &str) -> String {
        format!("azure-blob://{}/{key}", self.container.name)
    }

    fn endpoint(&self) -> Option<Endpoint> {
        Some(self.container.place())
    }

    fn can_split_at(&self, key: &str) -> bool {
        !self.is_hierarchical.load(Ordering::Relaxed) && list::is_unambiguous(key)
    }
}

/// The refusal of what no container can have.
fn unusable(op: Op) -> StorageError {
    StorageError::new(op, ErrorKind::Invalid, FailureReason::InvalidSettings)
}

fn unlisted(error: Unlisted) -> StorageError {
    let (kind, reason) = match error {
        // The next try may bring the rest.
        Unlisted::CutShort => (ErrorKind::Unavailable, FailureReason::Unavailable),
        Unlisted::NotAListing | Unlisted::Lacks(_) | Unlisted::DoesNotAdvance => {
            (ErrorKind::Invalid, FailureReason::BadAnswer)
        }
    };
    StorageError::caused(Op::List, kind, reason, error)
}
