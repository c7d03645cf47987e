//! `/healthz`, `/readyz` and `/metrics`: merged into an API, or on a listener of their own.
//!
//! They need no token, so that probes and scrapers need none, and tell nothing that would need one.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::Listener;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Health, Metrics};

/// The three routes. `/healthz` is fine as long as the process answers; `/readyz` is 200 or 503.
pub fn router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(text).with_state(metrics))
}

/// How long a client may take for the head of a request; a connection that is kept for a next one is
/// closed after it, too. Longer than the minute for which load balancers keep theirs, since whoever closes
/// first is never raced for; much longer, and clients that send a byte now and then would hold sockets for free.
const HEAD: Duration = Duration::from_secs(75);

/// Serves until cancelled, then lets the requests under way finish.
pub async fn serve(mut listener: TcpListener, router: Router, cancel: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let (connections, graceful) = (TaskTracker::new(), GracefulShutdown::new());
    // Accepting never fails for good: a connection that is gone is passed over, and where there are no
    // sockets left, it waits for one.
    while let Some((stream, peer)) = cancel.run_until_cancelled(Listener::accept(&mut listener)).await {
        tracing::trace!(%peer, "a connection");
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!(%error, "a connection ended before its time");
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    let readiness = health.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

async fn text(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], metrics.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
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

    #[tokio::test]
    async fn readiness_follows_its_checks_and_liveness_does_not() {
        let up = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&up);
        let health = Health::new(CancellationToken::new()).with("broker", move || {
            let up = seen.load(Ordering::SeqCst);
            async move { if up { Ok(()) } else { Err("not connected") } }
        });
        let router = router(health, Metrics::new("test", "0"));

        let ready = (StatusCode::OK, r#"{"ready":true,"checks":{"broker":"ok"}}"#.to_owned());
        assert_eq!(get_path(&router, "/readyz").await, ready);
        up.store(false, Ordering::SeqCst);
        let not_ready =
            (StatusCode::SERVICE_UNAVAILABLE, r#"{"ready":false,"checks":{"broker":"not connected"}}"#.to_owned());
        assert_eq!(get_path(&router, "/readyz").await, not_ready);
        assert_eq!(get_path(&router, "/healthz").await.0, StatusCode::OK);
        up.store(true, Ordering::SeqCst);
        assert_eq!(get_path(&router, "/readyz").await.0, StatusCode::OK);
    }

    /// A server, and a connection to it that has sent this.
    async fn served(
        router: Router,
        cancel: &CancellationToken,
        sent: &str,
    ) -> (TcpStream, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = tokio::task::spawn_local(serve(listener, router, cancel.clone()));
        client.write_all(sent.as_bytes()).await.unwrap();
        (client, server)
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn a_client_that_never_ends_its_headers_is_hung_up_on() {
        let head = "GET / HTTP/1.1\r\nhost: x\r\nx-slow: ";
        let (mut client, _server) = served(Router::new(), &CancellationToken::new(), head).await;
        // The clock stands still until everybody waits, and then jumps to the first who waits for it.
        let answer = tokio::time::timeout(HEAD * 2, client.read_to_end(&mut Vec::new())).await;
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

    #[tokio::test]
    async fn metrics_are_served_as_text() {
        let router = router(Health::new(CancellationToken::new()), Metrics::new("test", "0"));
        let (status, text) = get_path(&router, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("longshore_build_info{component=\"test\""));
    }
}
