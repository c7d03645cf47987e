//! The thin HTTP client that the cloud kinds share.
//!
//! It knows pools, TLS, timeouts, the address guard, retries, limits and metrics. What a request
//! says and what an answer means is the kind's. Redirects are never followed: a redirect is an
//! answer like every other. URIs are sent byte for byte as they were built.

mod address;
mod answer;
mod base_uri;
mod body;
mod browse;
mod connect;
mod expiring;
mod failure;
mod limit;
mod options;
mod range;
mod refusal;
mod retry;
mod stream;
mod xml;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use longshore_model::{FailureReason, StorageKind};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{ErrorKind, Op, StorageError, StorageMetrics};
pub use address::{AllowedEndpoints, InvalidEndpoint};
pub(crate) use answer::{Answer, http_date};
pub(crate) use base_uri::{BaseUri, EndpointSetting, PATH, QUERY, push_query};
use connect::Connector;
pub(crate) use expiring::{Entries, Expiring, Fresh, Idle};
pub(crate) use failure::{no_answer, plain};
pub use limit::Concurrency;
use limit::{Limits, Permit};
pub use options::{Timeouts, WireOptions};
pub(crate) use range::{check_range, range_header};
pub(crate) use refusal::{THROTTLED, by_status, missing, refused};
pub use retry::RetryPolicy;
pub(crate) use xml::{Scanner, Token, first_texts, resolve};

/// Servers drop idle connections after 20 s or more; one dropped by us first is never raced for.
const IDLE_CONNECTION: Duration = Duration::from_secs(15);

/// What a connection may buffer of what comes in, and so the longest head of an answer. A connection keeps its buffer
/// for as long as it is open, and a worker may have hundreds: by default it would grow to 400 KiB.
const READ_BUFFER: usize = 64 * 1024;

/// Bytes a second that a usable connection moves at least. A body goes out before its answer comes, so the wait for the
/// head grows with it; and one that comes in is given up once it has fallen behind.
const SLOWEST: u64 = 64 * 1024;

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
            let permit = self.limits.enter(call.endpoint).await;
            self.judged(call, &permit, ask()).await
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
            let permit = self.limits.enter(call.endpoint).await;
            let request = prepare().await?;
            let exchanged = async { receive(self.exchange(call.op, request).await?).await.and_then(&read) };
            self.judged(call, &permit, exchanged).await
        };
        self.retry.run(attempt, || self.metrics.retried(call.kind, call.op)).await
    }

    /// Counts a request, and tells the limit of its endpoint what came of it.
    async fn judged<T>(
        &self,
        call: Call<'_>,
        permit: &Permit,
        request: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        let running = self.metrics.start(call.kind, call.op);
        let result = request.await;
        match result.as_ref().map_err(|error| error.kind) {
            Err(ErrorKind::Throttled { .. }) => permit.throttled(),
            Err(ErrorKind::Unavailable | ErrorKind::Cancelled) => {}
            Ok(_) | Err(ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Invalid) => permit.answered(),
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
}
