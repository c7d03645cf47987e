//! How long a request may take.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::timeout;

use super::ApiState;
use super::access::{Policy, Work};
use super::error::{ApiError, ApiResult};

/// A handler makes a few database queries: after this many timeouts in a row the request is given up.
const TIMEOUTS: u32 = 4;

/// Time for a deletion that works through whole tables: a ledger of ten million rows takes minutes.
const WHOLE_TABLES: Duration = Duration::from_secs(60 * 60);

/// Gives up a request that takes too long, whatever it waits for: a body that never ends, a half-open database
/// connection. A body that an answer streams may take its time.
pub(super) async fn in_time(State(state): State<ApiState>, request: Request, next: Next) -> ApiResult<Response> {
    let limit = match request.extensions().get::<Policy>().map(|policy| policy.work) {
        Some(Work::WholeTables) => WHOLE_TABLES,
        // A stream is the body of its answer. A request without a policy is the one that asks for a token.
        Some(Work::Short | Work::Stream) | None => state.db.patience() * TIMEOUTS,
    };
    timeout(limit, next.run(request)).await.map_err(|_| ApiError::TimedOut)
}
