//! `/healthz`, `/readyz` and `/metrics`.
//!
//! These routes need no token, so that probes and scrapers need none; they reveal nothing confidential. A flood of
//! requests costs little, because the text of the metrics and the results of the checks are cached for a second.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::map_response;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};

use super::security_headers::add_security_headers;
use crate::{Health, Metrics};

/// The three routes.
pub fn router(health: Health, metrics: Metrics) -> Router {
    let metrics = Router::new().route("/metrics", get(text).with_state(metrics));
    health_router(health).merge(metrics.layer(map_response(add_security_headers)))
}

/// Only `/healthz`, which succeeds as long as the process answers, and `/readyz`, which is 200 or 503.
pub fn health_router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(health))
        .layer(map_response(add_security_headers))
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tokio_util::sync::CancellationToken;
    use tower::ServiceExt as _;

    use super::*;

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
        // Results are cached; the paused clock moves only when the test advances it.
        let cache_time = Duration::from_secs(1);

        let ready = (StatusCode::OK, r#"{"ready":true,"checks":{"broker":"ok"}}"#.to_owned());
        assert_eq!(get_path(&router, "/readyz").await, ready);
        up.store(false, Ordering::SeqCst);
        tokio::time::advance(cache_time).await;
        let not_ready =
            (StatusCode::SERVICE_UNAVAILABLE, r#"{"ready":false,"checks":{"broker":"not connected"}}"#.to_owned());
        assert_eq!(get_path(&router, "/readyz").await, not_ready);
        assert_eq!(get_path(&router, "/healthz").await.0, StatusCode::OK);
        up.store(true, Ordering::SeqCst);
        tokio::time::advance(cache_time).await;
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
