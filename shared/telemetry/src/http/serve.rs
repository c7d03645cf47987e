//! Serving a router on a listener; `/healthz`, `/readyz` and `/metrics`.
//!
//! These three need no token, so that probes and scrapers need none, and tell nothing that would need one.
//! A flood of them costs little: the text of the metrics and the checks of readiness are kept for a second.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{ErrorKind, Write};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use futures::FutureExt;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::clients::{ClientConnection, ClientConnections, Refusal};
use super::phase::{Phase, Progress, Watched};
use crate::sending::Sending;
use crate::{Health, Metrics};

/// The three routes. `/healthz` is fine as long as the process answers; `/readyz` is 200 or 503.
pub fn router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(text).with_state(metrics))
}

/// What is read of a head before it is refused, and what is kept of a body or an answer for one socket. Heads
/// of browsers and proxies stay below 16 KiB, and a URL with the longest key below 8 KiB. Higher, and clients without
/// a token could fill the memory with heads: this much for each socket.
const BUFFER: usize = 64 * 1024;

/// The pause after the system had no socket to give, as one is freed within a moment. Longer would keep
/// clients waiting; shorter would take a processor's time for nothing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often a listener without sockets says so. More often would fill the log during an attack.
const ACCEPT_LOG_PERIOD: Duration = Duration::from_secs(60);

/// The answer to a client that gets no socket.
const REFUSED: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves until cancelled, then lets the requests under way finish.
///
/// `clients` bounds the sockets; see [`ClientConnection::hold`] for which of them may be closed early. A client that
/// reads next to nothing of its answer for as long as `send` is disconnected.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    clients: ClientConnections,
    send: Duration,
    cancel: CancellationToken,
) {
    let (sockets, graceful) = (TaskTracker::new(), GracefulShutdown::new());
    let mut accept = Accept { listener, clients, logged: None };
    while let Some((stream, client)) = cancel.run_until_cancelled(accept.next()).await {
        sockets.spawn(serve_client(
            Sending::new(stream, send),
            client,
            accept.clients.clone(),
            router.clone(),
            &graceful,
        ));
    }
    drop(accept);
    graceful.shutdown().await;
}

/// A listener that never fails for good.
struct Accept {
    listener: TcpListener,
    clients: ClientConnections,
    /// When it last said that it has no sockets.
    logged: Option<Instant>,
}

impl Accept {
    /// The next client that gets a socket.
    async fn next(&mut self) -> (TcpStream, ClientConnection) {
        loop {
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.failed(&error).await;
                    continue;
                }
            };
            let opened = loop {
                match self.clients.open(peer.ip()) {
                    // Those that come meanwhile wait in the kernel's queue.
                    Err(Refusal::NotYet(time)) => sleep_until(time).await,
                    opened => break opened,
                }
            };
            match opened {
                Ok(client) => {
                    tracing::trace!(event = "client_accepted", %peer, "socket accepted");
                    return (stream, client);
                }
                Err(refusal) => {
                    tracing::debug!(event = "client_refused", %peer, ?refusal, "socket refused");
                    // It fits the empty buffer of a new socket; a client that is not there loses nothing.
                    if let Ok(mut stream) = stream.into_std() {
                        stream.write_all(REFUSED).ok();
                    }
                }
            }
        }
    }

    async fn failed(&mut self, error: &std::io::Error) {
        let is_clients = matches!(
            error.kind(),
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
        );
        if is_clients {
            return;
        }
        if self.logged.is_none_or(|logged| logged.elapsed() >= ACCEPT_LOG_PERIOD) {
            self.logged = Some(Instant::now());
            tracing::error!(event = "accept_failed", %error, "no socket for a client, closing those that wait");
        }
        self.clients.make_room();
        sleep(ACCEPT_PAUSE).await;
    }
}

/// Serves one client until it leaves, takes too long, or its socket is needed.
fn serve_client(
    stream: Sending<TcpStream>,
    client: ClientConnection,
    clients: ClientConnections,
    router: Router,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + use<> {
    let progress = Progress::default();
    let service = service_fn({
        let (progress, client) = (progress.clone(), client.clone());
        move |request| answer(router.clone(), request, client.clone(), &progress)
    });
    let io = TokioIo::new(Watched::new(stream, progress.clone()));
    // The phases bound the time of a head, so hyper need not.
    let http = http1::Builder::new().max_buf_size(BUFFER).header_read_timeout(None).serve_connection(io, service);
    let http = graceful.watch(http);
    async move {
        let mut http = pin!(http);
        let mut deadline = pin!(sleep_until(Instant::now()));
        let (mut seen, mut limit) = (None, None);
        let serving = poll_fn(|cx| {
            if let Poll::Ready(ended) = http.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            let (phase, change) = progress.now();
            if seen.replace(change) != Some(change) {
                limit = phase.limit(clients.is_nearly_full());
                if let Some(limit) = limit {
                    deadline.as_mut().reset(Instant::now() + limit);
                }
            }
            if limit.is_some() && deadline.as_mut().poll(cx).is_ready() {
                if phase == Phase::Head {
                    clients.metrics().slow.inc();
                }
                return Poll::Ready(Ok(()));
            }
            Poll::Pending
        });
        tokio::select! {
            ended = serving => {
                if let Err(error) = ended {
                    tracing::trace!(%error, "a socket ended early");
                }
            }
            () = client.closed() => {}
        }
    }
}

/// Answers one request. The socket waits for the next one when the answer is sent.
fn answer(
    mut router: Router,
    mut request: Request<Incoming>,
    client: ClientConnection,
    progress: &Progress,
) -> impl Future<Output = Result<Response, Infallible>> + Send + use<> {
    progress.set(Phase::Serving);
    let sent = Sent(progress.clone());
    request.extensions_mut().insert(client);
    router.call(request).map(|answer| answer.map(|answer| answer.map(|body| Body::new(Answer { body, _sent: sent }))))
}

/// Dropped when an answer is sent, or given up.
struct Sent(Progress);

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.set(Phase::Idle);
    }
}

/// The body of an answer that tells when it is sent.
struct Answer {
    body: Body,
    _sent: Sent,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    let readiness = health.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

async fn text(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], metrics.recent_text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConnectionLimits, HttpMetrics, Listening};
    use axum::body::to_bytes;
    use prometheus::Registry;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::Notify;
    use tower::ServiceExt as _;

    async fn get_path(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn readiness_follows_its_checks_and_liveness_does_not() {
        let up = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&up);
        let health = Health::new(CancellationToken::new()).with("broker", move || {
            let up = seen.load(Ordering::SeqCst);
            async move { if up { Ok(()) } else { Err("not connected") } }
        });
        let router = router(health, Metrics::new("test", "0"));
        // Answers are kept for a while; the clock stands still until it is told to go on.
        let kept = Duration::from_secs(1);

        let ready = (StatusCode::OK, r#"{"ready":true,"checks":{"broker":"ok"}}"#.to_owned());
        assert_eq!(get_path(&router, "/readyz").await, ready);
        up.store(false, Ordering::SeqCst);
        tokio::time::advance(kept).await;
        let not_ready =
            (StatusCode::SERVICE_UNAVAILABLE, r#"{"ready":false,"checks":{"broker":"not connected"}}"#.to_owned());
        assert_eq!(get_path(&router, "/readyz").await, not_ready);
        assert_eq!(get_path(&router, "/healthz").await.0, StatusCode::OK);
        up.store(true, Ordering::SeqCst);
        tokio::time::advance(kept).await;
        assert_eq!(get_path(&router, "/readyz").await.0, StatusCode::OK);
    }

    fn clients(total: usize) -> ClientConnections {
        let metrics = HttpMetrics::register(&Registry::new()).unwrap();
        ClientConnections::new(ConnectionLimits { total, per_peer: total }, &metrics, Listening::Api)
    }

    /// A server, and a connection to it that has sent this.
    async fn served(
        router: Router,
        cancel: &CancellationToken,
        sent: &str,
    ) -> (TcpStream, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = tokio::task::spawn_local(serve(listener, router, clients(8), crate::SEND, cancel.clone()));
        client.write_all(sent.as_bytes()).await.unwrap();
        (client, server)
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn a_client_that_never_ends_its_headers_is_hung_up_on() {
        let head = "GET / HTTP/1.1\r\nhost: x\r\nx-slow: ";
        let (mut client, _server) = served(Router::new(), &CancellationToken::new(), head).await;
        // The clock stands still until everybody waits, and then jumps to the first who waits for it.
        let answer = tokio::time::timeout(Duration::from_secs(20), client.read_to_end(&mut Vec::new())).await;
        assert!(answer.is_ok(), "it is still connected");
    }

    #[tokio::test(flavor = "local")]
    async fn a_request_under_way_is_finished_before_the_server_ends() {
        let (cancel, reached, go) = (CancellationToken::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (at_work, wait) = (Arc::clone(&reached), Arc::clone(&go));
        let slow = get(async move || {
            at_work.notify_one();
            wait.notified().await;
            "done"
        });
        let request = "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";
        let (mut client, server) = served(Router::new().route("/slow", slow), &cancel, request).await;
        reached.notified().await;
        cancel.cancel();
        go.notify_one();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
        server.await.unwrap();
    }

    /// Sends one request on a socket of its own, and gives what is answered until the socket closes.
    async fn asked(address: std::net::SocketAddr) -> String {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn heads_that_never_end_hold_no_socket_that_another_client_needs() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(Health::new(CancellationToken::new()), Metrics::new("test", "0"));
        let clients = clients(4);
        let _server =
            tokio::task::spawn_local(serve(listener, router, clients.clone(), crate::SEND, CancellationToken::new()));
        let mut slow = Vec::new();
        for _ in 0..20 {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nx-slow: ").await.unwrap();
            slow.push(client);
        }
        let answer = asked(address).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(clients.metrics().open.get() <= 4 + 1);
        assert_eq!((clients.metrics().full.get(), clients.metrics().peer.get()), (0, 0));
    }

    #[tokio::test(flavor = "local")]
    async fn a_client_is_refused_while_requests_that_were_let_in_hold_every_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reached, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (at_work, wait) = (Arc::clone(&reached), Arc::clone(&go));
        let held = get(async move |request: Request<Body>| {
            let _held = request.extensions().get::<ClientConnection>().unwrap().hold();
            at_work.notify_one();
            wait.notified().await;
            "done"
        });
        let router = router(Health::new(CancellationToken::new()), Metrics::new("test", "0")).route("/held", held);
        let _server =
            tokio::task::spawn_local(serve(listener, router, clients(1), crate::SEND, CancellationToken::new()));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /held HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        reached.notified().await;
        let mut refused = TcpStream::connect(address).await.unwrap();
        let mut answer = String::new();
        refused.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1"), "{answer}");
        go.notify_one();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
    }

    #[tokio::test]
    async fn metrics_are_served_as_text() {
        let router = router(Health::new(CancellationToken::new()), Metrics::new("test", "0"));
        let (status, text) = get_path(&router, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("longshore_build_info{component=\"test\""));
    }
}
