//! Routes that older clients of Label Studio ask before anything else. They need no token, as in Label Studio.

use axum::Router;
use axum::routing::get;
use serde_json::json;

use super::extract::Json;

/// Whether the server runs, and its version.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let version = || {
        get(async || {
            let version = env!("CARGO_PKG_VERSION");
            Json(json!({"release": version, "longshore": {"version": version}}))
        })
    };
    Router::new()
        .route("/health", get(async || Json(json!({"status": "UP"}))))
        .route("/version", version())
        .route("/api/version", version())
}
