//! Serving a router on a listener.

use crate::error_chain;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use futures::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::accept::Accept;
use super::clients::{ClientConnection, ClientConnections};
use super::phase::{Phase, Progress, Watched};
use super::sent::keep_until_sent;
use crate::sending::Sending;

/// What is read of a head before it is refused, and what is kept of a body or an answer for one socket.
///
/// Heads of browsers and proxies stay below 16 KiB, and a URL with the longest key below 8 KiB. Higher, and clients
/// without a token could fill the memory with heads: this much for each socket.
pub const LARGEST_HEAD: usize = 32 * 1024;

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
    let mut accept = Accept::new(listener, clients);
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
    let http = http1::Builder::new().max_buf_size(LARGEST_HEAD).header_read_timeout(None).serve_connection(io, service);
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
                    tracing::trace!(event = "client_ended_early", error = error_chain(&error), "socket ended early");
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
    let answering = progress.answer();
    request.extensions_mut().insert(client);
    router.call(request).map(|answer| answer.map(|answer| answer.map(|body| keep_until_sent(body, answering))))
}

#[cfg(test)]
mod tests {
    use super::super::router;
    use super::*;
    use crate::{ConnectionLimits, Health, HttpMetrics, Listening, Metrics};
    use axum::body::Body;
    use axum::routing::get;
    use prometheus::Registry;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;
    use tokio::sync::Notify;
    use tokio::time::{resume, sleep};

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

    /// Sends one request on a new socket, and returns what is answered until the socket closes.
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

    /// Goal: an address at its limit is told so at once, and other addresses get their sockets meanwhile. Method: the
    /// clock stands still, so nothing that waits for it would end before the answers.
    #[tokio::test(flavor = "local", start_paused = true)]
    async fn an_address_at_its_limit_is_told_to_wait_and_no_other_address_waits_for_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(Health::new(CancellationToken::new()), Metrics::new("test", "0"));
        let metrics = HttpMetrics::register(&Registry::new()).unwrap();
        let limits = ConnectionLimits { total: 8, per_peer: 1 };
        let clients = ClientConnections::new(limits, &metrics, Listening::Api);
        let _server = tokio::task::spawn_local(serve(listener, router, clients, crate::SEND, CancellationToken::new()));
        let _first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        let other = TcpSocket::new_v4().unwrap();
        other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut other = other.connect(address).await.unwrap();
        other.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answers = [String::new(), String::new()];
        second.read_to_string(&mut answers[0]).await.unwrap();
        other.read_to_string(&mut answers[1]).await.unwrap();
        assert!(answers[0].starts_with("HTTP/1.1 429 ") && answers[0].contains("retry-after: 1"), "{}", answers[0]);
        assert!(answers[1].starts_with("HTTP/1.1 200 "), "{}", answers[1]);
    }

    /// More than the system takes into its own buffers.
    const LARGE: usize = 32 * 1024 * 1024;

    /// Goal: a client that reads slowly gets all of a large answer. Method: it takes longer than a socket may be idle.
    #[tokio::test(flavor = "local", start_paused = true)]
    async fn a_socket_is_not_idle_while_its_answer_is_being_sent() {
        let router = Router::new().route("/large", get(async || vec![0; LARGE]));
        let request = "GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let (mut client, _server) = served(router, &CancellationToken::new(), request).await;
        let mut piece = vec![0; 1024 * 1024];
        for _ in 0..10 {
            // Less than a client may read nothing.
            sleep(crate::SEND / 2).await;
            client.read_exact(&mut piece).await.unwrap();
        }
        // A clock that stands still jumps ahead whenever the system is slower than the test.
        resume();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert!(10 * piece.len() + rest.len() > LARGE, "{} bytes after the slow ones", rest.len());
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn a_socket_whose_answer_is_being_sent_is_not_closed_for_another() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let large = get(async |request: Request<Body>| {
            let held = request.extensions().get::<ClientConnection>().unwrap().hold();
            keep_until_sent(Body::from(vec![0; LARGE]), held)
        });
        let router = Router::new().route("/large", large);
        let _server =
            tokio::task::spawn_local(serve(listener, router, clients(1), crate::SEND, CancellationToken::new()));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        client.read_u8().await.unwrap();
        // Longer than a socket that waits is kept.
        sleep(Duration::from_secs(1)).await;
        let mut other = TcpStream::connect(address).await.unwrap();
        let mut refusal = String::new();
        other.read_to_string(&mut refusal).await.unwrap();
        assert!(refusal.starts_with("HTTP/1.1 503 "), "{refusal}");
        resume();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert!(rest.len() > LARGE, "{} bytes", rest.len());
    }
}
