//! The thin HTTP client that the cloud kinds share.
//!
//! It knows pools, TLS, timeouts, the address guard, retries, limits and metrics. What a request
//! says and what an answer means is the kind's. Redirects are never followed: a redirect is an
//! answer like every other. URIs are sent byte for byte as they were built.

mod address;
mod browse;
mod connect;
mod expiring;
mod failure;
mod limit;
mod range;
mod retry;
mod stream;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use longshore_model::{FailureReason, StorageKind};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

pub use address::{AllowedEndpoints, InvalidEndpoint};
pub use limit::Concurrency;
pub use retry::RetryPolicy;

use crate::{ErrorKind, ObjectMeta, Op, StorageError, StorageMetrics};
use connect::Connector;
pub(crate) use expiring::{Entries, Expiring, Fresh, Idle};
pub(crate) use failure::{no_answer, plain};
use limit::{Limits, Place};
pub(crate) use range::{check_range, range_header};

/// Servers drop idle connections after 20 s or more; one dropped by us first is never raced for.
const IDLE_CONNECTION: Duration = Duration::from_secs(15);

/// What a connection may buffer of what comes in, and so the longest head of an answer. A connection keeps its buffer
/// for as long as it is open, and a worker may have hundreds: by default it would grow to 400 KiB.
const READ_BUFFER: usize = 64 * 1024;

/// As much of a refusal as is read; the code stands in its first lines.
const REFUSAL_BYTES: u64 = 64 * 1024;

/// Bytes a second that a usable connection moves at least. A body goes out before its answer comes, so the wait for the
/// head grows with it; and one that comes in is given up once it has fallen behind.
const SLOWEST: u64 = 64 * 1024;

/// How far an incoming body may fall behind, in times of [`Timeouts::idle`]. Less, and small objects that share a slow
/// line would be given up; more, and a server that sends a byte now and then keeps the memory that waits for the rest.
const SLACK: u32 = 2;

/// How long each step of a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution and TCP connect.
    pub connect: Duration,
    /// From the request to the head of its answer, TLS handshake included.
    pub head: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
}

impl Default for Timeouts {
    /// Connecting across the world takes under a second, so 5 s is a dead host. A listing of a bucket
    /// with millions of delete markers can take 20 s to its first byte, so 30 s is a dead server.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), head: Duration::from_secs(30), idle: Duration::from_secs(30) }
    }
}

/// Everything about the client that an operator or a test decides.
#[derive(Debug, Clone, Default)]
pub struct WireOptions {
    pub allowed: AllowedEndpoints,
    pub retry: RetryPolicy,
    pub timeouts: Timeouts,
    pub concurrency: Concurrency,
}

/// The client. One for a process: it holds the connections.
pub(crate) struct Wire {
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
    connector: Connector,
    tls: rustls::ClientConfig,
    limits: Limits,
    retry: RetryPolicy,
    timeouts: Timeouts,
    metrics: StorageMetrics,
}

/// What the client has to know of a call beside its request.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) kind: StorageKind,
    pub(crate) op: Op,
    /// Host and port: requests to the same share a limit.
    pub(crate) endpoint: &'a str,
    /// As much of a successful answer's body as is held.
    pub(crate) max_bytes: u64,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Wire {
    /// Builds the client on the system's trusted certificates.
    ///
    /// # Errors
    /// The TLS library refuses its own defaults.
    pub(crate) fn new(options: WireOptions, metrics: StorageMetrics) -> Result<Self, rustls::Error> {
        let connector = Connector::new(options.allowed, options.timeouts.connect);
        let tls = longshore_telemetry::tls_config()?;
        let over_tls = HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector.clone());
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .http1_max_buf_size(READ_BUFFER)
            .build(over_tls);
        let limits = Limits::new(options.concurrency);
        Ok(Self { client, connector, tls, limits, retry: options.retry, timeouts: options.timeouts, metrics })
    }

    /// Opens a TCP connection under the same guard, for a kind that does not speak HTTP.
    pub(crate) async fn tcp(&self, op: Op, host: &str, port: u16) -> Result<TcpStream, StorageError> {
        self.connector.open(host, port).await.map_err(|error| no_answer(op, error))
    }

    /// What TLS trusts here.
    pub(crate) fn tls(&self) -> &rustls::ClientConfig {
        &self.tls
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    pub(crate) fn metrics(&self) -> &StorageMetrics {
        &self.metrics
    }

    /// Makes a call of another protocol, with the same limits, retries and metrics.
    pub(crate) async fn attempt<T, Fut>(
        &self,
        call: Call<'_>,
        ask: impl Fn() -> Fut + Send + Sync,
    ) -> Result<T, StorageError>
    where
        T: Send,
        Fut: Future<Output = Result<T, StorageError>> + Send,
    {
        let attempt = || async {
            let place = self.limits.enter(call.endpoint).await;
            self.judged(call, &place, ask()).await
        };
        self.retry.run(attempt, || self.metrics.retried(call.kind, call.op)).await
    }

    /// Makes a call: `prepare` builds and signs a request for each try, `read` judges its answer.
    ///
    /// An answer cut short, or one that `read` finds cut short, is tried again as a whole.
    pub(crate) async fn call<T, Fut>(
        &self,
        call: Call<'_>,
        prepare: impl Fn() -> Fut + Send + Sync,
        read: impl Fn(Answer) -> Result<T, StorageError> + Send + Sync,
    ) -> Result<T, StorageError>
    where
        T: Send,
        Fut: Future<Output = Result<Request<Bytes>, StorageError>> + Send,
    {
        self.attempts(call, prepare, |response| self.whole(call, response), read).await
    }

    /// Sends until an answer is good or the policy ends: `receive` takes in what came, `read` judges it.
    async fn attempts<A, T, Fut, Received>(
        &self,
        call: Call<'_>,
        prepare: impl Fn() -> Fut + Send + Sync,
        receive: impl Fn(Response<Incoming>) -> Received + Send + Sync,
        read: impl Fn(A) -> Result<T, StorageError> + Send + Sync,
    ) -> Result<T, StorageError>
    where
        A: Send,
        T: Send,
        Fut: Future<Output = Result<Request<Bytes>, StorageError>> + Send,
        Received: Future<Output = Result<A, StorageError>> + Send,
    {
        let attempt = || async {
            let place = self.limits.enter(call.endpoint).await;
            let request = prepare().await?;
            let exchanged = async { receive(self.exchange(call.op, request).await?).await.and_then(&read) };
            self.judged(call, &place, exchanged).await
        };
        self.retry.run(attempt, || self.metrics.retried(call.kind, call.op)).await
    }

    /// Counts a request, and tells the limit of its endpoint what came of it.
    async fn judged<T>(
        &self,
        call: Call<'_>,
        place: &Place,
        request: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        let running = self.metrics.start(call.kind, call.op);
        let result = request.await;
        match result.as_ref().map_err(|error| error.kind) {
            Err(ErrorKind::Throttled { .. }) => place.throttled(),
            Err(ErrorKind::Unavailable | ErrorKind::Cancelled) => {}
            Ok(_) | Err(ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Invalid) => place.answered(),
        }
        running.ended(&result);
        result
    }

    /// Sends one request and waits for the head of its answer.
    async fn exchange(&self, op: Op, request: Request<Bytes>) -> Result<Response<Incoming>, StorageError> {
        let length = request.body().len() as u64;
        self.metrics.sent(length);
        let patience = self.timeouts.head + Duration::from_secs(length / SLOWEST);
        timeout(patience, self.client.request(request.map(Full::new)))
            .await
            .map_err(|late| StorageError::caused(op, ErrorKind::Unavailable, FailureReason::Unavailable, late))?
            .map_err(|error| no_answer(op, error))
    }

    async fn whole(&self, call: Call<'_>, response: Response<Incoming>) -> Result<Answer, StorageError> {
        let (head, body) = response.into_parts();
        let body = if head.status.is_success() {
            self.body(call.op, &head.headers, body, call.max_bytes).await?
        } else {
            self.refusal(body).await
        };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// Reads a body to its end, or fails with [`FailureReason::TooLarge`] as soon as that is certain.
    async fn body(&self, op: Op, headers: &HeaderMap, body: Incoming, max: u64) -> Result<Bytes, StorageError> {
        let too_large = || StorageError::new(op, ErrorKind::Invalid, FailureReason::TooLarge);
        if op != Op::Head && body.size_hint().lower() > max {
            return Err(too_large());
        }
        check_end(op, headers)?;
        let expected = usize::try_from(body.size_hint().lower()).unwrap_or_default();
        let mut held = BytesMut::with_capacity(expected);
        let mut body = body;
        let begun = Instant::now();
        while let Some(piece) = piece(op, &mut body, self.patience(begun, held.len())).await? {
            self.metrics.received(piece.len() as u64);
            if (held.len() + piece.len()) as u64 > max {
                return Err(too_large());
            }
            held.extend_from_slice(&piece);
        }
        Ok(held.freeze())
    }

    /// How long the next piece of a body may take, of which so much came since it began.
    fn patience(&self, begun: Instant, came: usize) -> Duration {
        let slowest = self.timeouts.idle * SLACK + Duration::from_secs(came as u64 / SLOWEST);
        slowest.saturating_sub(begun.elapsed()).min(self.timeouts.idle)
    }

    /// The first part of a refusal's body; whatever goes wrong here, the status still speaks.
    async fn refusal(&self, mut body: Incoming) -> Bytes {
        let mut held = BytesMut::new();
        let begun = Instant::now();
        while (held.len() as u64) < REFUSAL_BYTES
            && let Ok(Some(piece)) = piece(Op::Get, &mut body, self.patience(begun, held.len())).await
        {
            held.extend_from_slice(&piece);
        }
        held.freeze()
    }
}

/// The next piece of a body, or `None` after the last.
async fn piece(op: Op, body: &mut Incoming, patience: Duration) -> Result<Option<Bytes>, StorageError> {
    loop {
        let frame = timeout(patience, body.frame())
            .await
            .map_err(|late| StorageError::caused(op, ErrorKind::Unavailable, FailureReason::Unavailable, late))?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(no_answer(op, error)),
            // Trailers carry nothing that is used here.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Refuses an object without a length or chunks: its body ends when the connection does, and a cut
/// one looks whole.
fn check_end(op: Op, headers: &HeaderMap) -> Result<(), StorageError> {
    let has_end = headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING);
    if op == Op::Get && !has_end {
        return Err(StorageError::new(op, ErrorKind::Unavailable, FailureReason::BadAnswer));
    }
    Ok(())
}

impl Answer {
    /// A header as text, if it is there and is text.
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Reads an object's size and time of change from the headers of a HEAD answer. Each kind reads its own etag.
    ///
    /// # Errors
    /// The headers have no size.
    pub(crate) fn object(&self, key: &str, etag: Option<String>) -> Result<ObjectMeta, StorageError> {
        let size = self.header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let modified = self.header(header::LAST_MODIFIED).and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        Ok(ObjectMeta {
            key: key.to_owned(),
            size: size.ok_or_else(|| StorageError::new(Op::Head, ErrorKind::Invalid, FailureReason::BadAnswer))?,
            etag,
            modified_at: modified.map(|time| time.to_utc()),
        })
    }

    /// How long the server asks to wait, given in seconds or as a date.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let text = self.header(header::RETRY_AFTER)?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = DateTime::parse_from_rfc2822(text).ok()?;
        Some((date.to_utc() - Utc::now()).to_std().unwrap_or_default())
    }
}
