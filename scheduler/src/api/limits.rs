//! How long a request may take, and how much it may announce to send.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use super::ApiState;
use super::error::{ApiError, ApiResult};

/// The largest body: an annotation with brush masks takes some megabytes, settings a few hundred bytes.
pub(super) const MAX_BODY: usize = 16 * 1024 * 1024;

/// What is read, and thrown away, of a body that was refused, and for how long: most clients read their
/// answer only after all is sent, and a connection that is closed before takes it from them.
const LINGER_BYTES: usize = 4 * MAX_BODY;
const LINGER_TIME: Duration = Duration::from_secs(5);

/// A handler asks the database a few times: after so many silences in a row it is not coming back.
const SILENCES: u32 = 4;

/// The routes that work through whole tables: a ledger of ten million rows takes minutes to delete.
const UNHURRIED: &[&str] = &["/api/storages/{kind}/{id}", "/api/storages/export/{kind}/{id}"];
const UNHURRIED_TIME: Duration = Duration::from_secs(60 * 60);

/// Gives a request up that takes too long, whatever it waits for: a body that never ends, a connection
/// to the database that is half-open. A body that an answer streams may take its time.
pub(super) async fn in_time(
    State(state): State<ApiState>,
    route: MatchedPath,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let unhurried = request.method() == Method::DELETE && UNHURRIED.contains(&route.as_str());
    let limit = if unhurried { UNHURRIED_TIME } else { state.db.patience() * SILENCES };
    timeout(limit, next.run(request)).await.map_err(|_| ApiError::TimedOut)
}

/// Refuses a body by the length it announces, before any of it is read.
pub(super) async fn refuse_long(request: Request, next: Next) -> Response {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    // A length that is no number never comes here: HTTP itself refuses it.
    if announced.and_then(|length| length.parse::<u64>().ok()).is_none_or(|length| length <= MAX_BODY as u64) {
        return next.run(request).await;
    }
    let (mut head, refusal) = ApiError::body_too_large().into_response().into_parts();
    // The answer ends after the body was thrown away, so its length is not told.
    head.headers.remove(header::CONTENT_LENGTH);
    let answer = refusal.into_data_stream().chain(stream::once(thrown_away(request.into_body())));
    Response::from_parts(head, Body::from_stream(answer))
}

/// Reads a body for a while; nothing comes of it.
async fn thrown_away(body: Body) -> Result<Bytes, axum::Error> {
    let mut left = LINGER_BYTES;
    let reading = body.into_data_stream().try_for_each(|piece| {
        let enough = left < piece.len();
        left = left.saturating_sub(piece.len());
        async move { if enough { Err(axum::Error::new("enough")) } else { Ok(()) } }
    });
    // Whatever ended it: the refusal has been told.
    drop(timeout(LINGER_TIME, reading).await);
    Ok(Bytes::new())
}
