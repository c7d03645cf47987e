//! The time limit of requests.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use longshore_db::host::HostKind;
use tokio::time::timeout;

use super::ApiState;
use super::access::{LABEL_STUDIO_PATIENCE, Policy, Work};
use super::error::{ApiError, ApiResult};
use super::storages::SYNC_WAIT;

/// Time limit of a request, in database timeouts. A handler makes a few queries, so after this many timeouts the
/// database is probably unavailable.
const TIMEOUTS: u32 = 4;

/// More time beside a Label Studio: a request asks it at most three times, and waits for the end of a sync.
const BESIDE_LABEL_STUDIO: Duration = Duration::from_secs(3 * LABEL_STUDIO_PATIENCE.as_secs() + SYNC_WAIT.as_secs());

/// Time limit of deletions in whole tables. A ledger of ten million rows takes minutes.
const WHOLE_TABLES: Duration = Duration::from_secs(60 * 60);

/// Aborts a request that takes too long, for example because of a body that never ends or a half-open database
/// connection. The time limit ends when the body of the answer starts.
pub(super) async fn in_time(State(state): State<ApiState>, request: Request, next: Next) -> ApiResult<Response> {
    let limit = match request.extensions().get::<Policy>().map(|policy| policy.work) {
        Some(Work::WholeTables) => WHOLE_TABLES,
        // A stream is the body of an answer. The only request without a policy is the exchange of a token.
        Some(Work::Short | Work::Stream) | None => {
            let beside = if state.host == HostKind::LabelStudio { BESIDE_LABEL_STUDIO } else { Duration::ZERO };
            state.db.patience() * TIMEOUTS + beside
        }
    };
    timeout(limit, next.run(request)).await.map_err(|_| ApiError::TimedOut)
}
