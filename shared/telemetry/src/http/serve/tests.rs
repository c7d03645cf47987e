use super::super::router;
use super::*;
use crate::{ConnectionLimits, Health, HttpMetrics, ListenerName, Metrics};
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
    ClientConnections::new(ConnectionLimits { total, per_peer: total }, &metrics, ListenerName::Api)
}

/// A server, and a connection to it that has sent these bytes.
async fn start_server(
    router: Router,
    cancel: &CancellationToken,
    sent: &str,
) -> (TcpStream, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = tokio::task::spawn_local(serve(listener, router, clients(8), crate::SEND_TIMEOUT, cancel.clone()));
    client.write_all(sent.as_bytes()).await.unwrap();
    (client, server)
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_client_that_never_finishes_its_head_is_disconnected() {
    let head = "GET / HTTP/1.1\r\nhost: x\r\nx-slow: ";
    let (mut client, _server) = start_server(Router::new(), &CancellationToken::new(), head).await;
    // The paused clock jumps to the next deadline when all tasks wait.
    let answer = tokio::time::timeout(Duration::from_secs(20), client.read_to_end(&mut Vec::new())).await;
    assert!(answer.is_ok(), "it is still connected");
}

#[tokio::test(flavor = "local")]
async fn a_request_in_progress_finishes_before_the_server_stops() {
    let (cancel, reached, go) = (CancellationToken::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (at_work, wait) = (Arc::clone(&reached), Arc::clone(&go));
    let slow = get(async move || {
        at_work.notify_one();
        wait.notified().await;
        "done"
    });
    let request = "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";
    let (mut client, server) = start_server(Router::new().route("/slow", slow), &cancel, request).await;
    reached.notified().await;
    cancel.cancel();
    go.notify_one();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
    server.await.unwrap();
}

/// Sends one request on a new socket, and returns everything that is received until the socket closes.
async fn get_health(address: std::net::SocketAddr) -> String {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn unfinished_heads_do_not_keep_sockets_that_another_client_needs() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(Health::new(CancellationToken::new()), Metrics::new("test", "0"));
    let clients = clients(4);
    let _server = tokio::task::spawn_local(serve(
        listener,
        router,
        clients.clone(),
        crate::SEND_TIMEOUT,
        CancellationToken::new(),
    ));
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nx-slow: ").await.unwrap();
        slow.push(client);
    }
    let answer = get_health(address).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(clients.metrics().open.get() <= 4 + 1);
    assert_eq!((clients.metrics().full.get(), clients.metrics().peer.get()), (0, 0));
}

#[tokio::test(flavor = "local")]
async fn a_client_is_refused_while_requests_hold_every_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (reached, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (at_work, wait) = (Arc::clone(&reached), Arc::clone(&go));
    let held = get(async move |request: Request<Body>| {
        let _hold = request.extensions().get::<ClientConnection>().unwrap().hold();
        at_work.notify_one();
        wait.notified().await;
        "done"
    });
    let router = router(Health::new(CancellationToken::new()), Metrics::new("test", "0")).route("/held", held);
    let _server =
        tokio::task::spawn_local(serve(listener, router, clients(1), crate::SEND_TIMEOUT, CancellationToken::new()));
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

/// Goal: an address at its limit is refused immediately, and other addresses get their sockets meanwhile. Method:
/// the clock is paused, so an answer that waited for time would come too late.
#[tokio::test(flavor = "local", start_paused = true)]
async fn an_address_at_its_limit_is_refused_and_does_not_delay_other_addresses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(Health::new(CancellationToken::new()), Metrics::new("test", "0"));
    let metrics = HttpMetrics::register(&Registry::new()).unwrap();
    let limits = ConnectionLimits { total: 8, per_peer: 1 };
    let clients = ClientConnections::new(limits, &metrics, ListenerName::Api);
    let _server =
        tokio::task::spawn_local(serve(listener, router, clients, crate::SEND_TIMEOUT, CancellationToken::new()));
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

/// Bytes. More than the system's socket buffers hold.
const LARGE: usize = 32 * 1024 * 1024;

/// Goal: a client that reads slowly gets all of a large answer. Method: the answer takes longer than a socket may
/// be idle.
#[tokio::test(flavor = "local", start_paused = true)]
async fn a_socket_is_not_idle_while_its_answer_is_being_sent() {
    let router = Router::new().route("/large", get(async || vec![0; LARGE]));
    let request = "GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let (mut client, _server) = start_server(router, &CancellationToken::new(), request).await;
    let mut piece = vec![0; 1024 * 1024];
    for _ in 0..10 {
        // Less than the time in which a client may read nothing.
        sleep(crate::SEND_TIMEOUT / 2).await;
        client.read_exact(&mut piece).await.unwrap();
    }
    // The paused clock jumps ahead whenever the system is slower than the test.
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
        let hold = request.extensions().get::<ClientConnection>().unwrap().hold();
        keep_until_sent(Body::from(vec![0; LARGE]), hold)
    });
    let router = Router::new().route("/large", large);
    let _server =
        tokio::task::spawn_local(serve(listener, router, clients(1), crate::SEND_TIMEOUT, CancellationToken::new()));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    client.read_u8().await.unwrap();
    // Longer than the grace period of an idle socket.
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
