//! The HTTP client that the cloud kinds share.
//!
//! It handles pools, TLS, timeouts, the address guard, retries, limits and metrics. The kinds build requests and
//! interpret answers. Redirects are never followed: a redirect is an answer like any other. URIs are sent byte for
//! byte as they were built.

mod address;
mod answer;
mod base_uri;
mod body;
mod browse;
mod connect;
mod expiring;
mod failure;
mod limit;
mod metadata_service;
mod network;
mod options;
mod post;
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
use longshore_telemetry::waiting::CurrentWaits;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{ErrorKind, Op, StorageError, StorageMetrics};
pub use address::{AllowedEndpoints, InvalidEndpoint};
pub(crate) use answer::{Answer, http_date};
pub(crate) use base_uri::{BaseUri, EndpointSetting, PATH, QUERY, push_query};
use connect::Connector;
pub(crate) use expiring::{Entries, ExpiringCache, ExpiringValue, Idle};
pub(crate) use failure::{no_answer, plain};
pub use limit::Concurrency;
use limit::{Limits, Permit};
pub use options::{Timeouts, WireOptions};
pub use post::{PostError, Poster};
pub(crate) use range::{check_range, range_header};
pub(crate) use refusal::{Refusal, THROTTLED, by_status, missing, refusal_error};
pub use retry::RetryPolicy;
pub(crate) use xml::{Scanner, Token, first_texts, resolve};

/// Servers close idle connections after 20 s or more. We close them earlier, so that no request meets a connection
/// that the server is closing.
const IDLE_CONNECTION: Duration = Duration::from_secs(15);

/// Largest read buffer of a connection, and so the longest head of an answer. A connection keeps its buffer while it
/// is open, and a worker may have hundreds of connections; by default a buffer could grow to 400 KiB.
const READ_BUFFER: usize = 64 * 1024;

/// Slowest accepted rate, in bytes per second. A request's body is sent before its answer comes, so the time limit
/// for the head grows with the body's length; an incoming body is given up once it has fallen behind this rate.
const SLOWEST: u64 = 64 * 1024;

/// The client. One instance per process, because it holds the connections.
pub(crate) struct Wire {
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
    connector: Connector,
    tls: rustls::ClientConfig,
    limits: Limits,
    retry: RetryPolicy,
    timeouts: Timeouts,
    metrics: StorageMetrics,
}

/// What the client needs to know about a call in addition to its request.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) kind: StorageKind,
    pub(crate) op: Op,
    /// Host and port. Requests to the same endpoint share a limit.
    pub(crate) endpoint: &'a str,
    /// The most bytes of a successful answer's body that are read; a longer body is an error.
    pub(crate) max_bytes: u64,
}

impl Wire {
    /// Builds the client; it trusts the system's certificates.
    ///
    /// # Errors
    /// The TLS library rejects its own defaults.
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

    /// Opens a TCP connection with the same address guard, for kinds that do not use HTTP.
    pub(crate) async fn tcp(&self, op: Op, host: &str, port: u16) -> Result<TcpStream, StorageError> {
        self.connector.open(host, port).await.map_err(|error| no_answer(op, error))
    }

    /// The TLS configuration, for kinds that do not use HTTP.
    pub(crate) fn tls(&self) -> &rustls::ClientConfig {
        &self.tls
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    pub(crate) fn metrics(&self) -> &StorageMetrics {
        &self.metrics
    }

    /// Makes a call in another protocol, with the same limits, retries and metrics.
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
            let permit = self.limits.acquire(call.endpoint).await;
            self.measure(call, &permit, ask()).await
        };
        self.with_retries(call, attempt).await
    }

    /// Makes a call: `prepare` builds and signs a request for each try, `read` interprets the answer.
    ///
    /// The whole call is retried if the answer is cut short, as seen here or by `read`.
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
        self.send_with_retries(call, prepare, |response| self.read_answer(call, response), read).await
    }

    /// Sends until a try succeeds or the retry policy ends: `receive` reads the response, `read` interprets it.
    async fn send_with_retries<A, T, Fut, Received>(
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
            let permit = self.limits.acquire(call.endpoint).await;
            let request = prepare().await?;
            let exchanged = async { receive(self.exchange(call.op, request).await?).await.and_then(&read) };
            self.measure(call, &permit, exchanged).await
        };
        self.with_retries(call, attempt).await
    }

    /// Tries until one succeeds or the retry policy ends, and records the wait for the work that made the call.
    async fn with_retries<T, Fut>(&self, call: Call<'_>, attempt: impl FnMut() -> Fut + Send) -> Result<T, StorageError>
    where
        T: Send,
        Fut: Future<Output = Result<T, StorageError>> + Send,
    {
        let wait = CurrentWaits::call_storage();
        let retrying = |error: &StorageError| {
            self.metrics.count_retry(call.kind, call.op);
            CurrentWaits::record_error(|| error.public_text());
        };
        let result = self.retry.run(attempt, retrying).await;
        // A refusal is an answer, too.
        if result.as_ref().err().is_none_or(|error| !error.is_transient()) {
            wait.end();
        }
        result
    }

    /// Measures one request, and reports its outcome to the endpoint's limit.
    async fn measure<T>(
        &self,
        call: Call<'_>,
        permit: &Permit,
        request: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        let timer = self.metrics.start(call.kind, call.op);
        let result = request.await;
        match result.as_ref().map_err(|error| error.kind) {
            Err(ErrorKind::Throttled { .. }) => permit.record_throttling(),
            Err(ErrorKind::Unavailable | ErrorKind::Cancelled) => {}
            Ok(_) | Err(ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Invalid) => permit.record_answer(),
        }
        timer.finish(&result);
        result
    }

    /// Sends one request and waits for the head of its answer.
    async fn exchange(&self, op: Op, request: Request<Bytes>) -> Result<Response<Incoming>, StorageError> {
        let length = request.body().len() as u64;
        self.metrics.add_sent(length);
        let patience = self.timeouts.head + Duration::from_secs(length / SLOWEST);
        timeout(patience, self.client.request(request.map(Full::new)))
            .await
            .map_err(|late| StorageError::with_source(op, ErrorKind::Unavailable, FailureReason::Unavailable, late))?
            .map_err(|error| no_answer(op, error))
    }
}
