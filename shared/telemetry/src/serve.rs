//! `/healthz`, `/readyz` and `/metrics`: merged into an API, or on a listener of their own.
//!
//! They need no token, so that probes and scrapers need none, and tell nothing that would need one.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Health, Metrics};

/// The three routes. `/healthz` is fine as long as the process answers; `/readyz` is 200 or 503.
pub fn router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(text).with_state(metrics))
}

/// Serves until cancelled, then lets the requests under way finish.
///
/// # Errors
/// The listener broke.
pub async fn serve(listener: TcpListener, router: Router, cancel: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(cancel.cancelled_owned()).await
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

    #[tokio::test]
    async fn metrics_are_served_as_text() {
        let router = router(Health::new(CancellationToken::new()), Metrics::new("test", "0"));
        let (status, text) = get_path(&router, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("longshore_build_info{component=\"test\""));
    }
}
