//! Records that a request failed because the database takes no writes or does not answer.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use longshore_db::Outage;

use super::ApiState;

/// Runs a request, and records the outage that its answer names.
pub(super) async fn record(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Some(outage) = response.extensions().get::<Outage>() {
        state.situation.record_request(*outage);
    }
    response
}
