//! How long a request may take, and how much it may announce to send.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use super::auth::Caller;
use super::error::{ApiError, ApiResult};
use super::{ApiState, personal_tokens};

/// The largest body: an annotation with brush masks takes some megabytes, settings a few hundred bytes.
pub(super) const MAX_BODY: usize = 16 * 1024 * 1024;

/// The largest body of routes that take neither annotations nor documents nor label configs. A list of 100,000 tasks to
/// export takes a megabyte.
const MAX_SMALL_BODY: usize = 4 * 1024 * 1024;

/// The largest body that asks for a token: anybody may send one, no memory is reserved for it, and a token is short.
const MAX_REFRESH: usize = 8 * 1024;

/// The routes that take up to [`MAX_BODY`].
const LARGE_BODIES: &[&str] =
    &["/api/projects", "/api/tasks/{id}/annotations", "/api/annotations/{id}", "/api/resolve"];

/// Bytes that a body takes while it is read: its own, and those of what is made of it.
const BYTES_PER_BODY_BYTE: usize = 2;

/// The largest body of a route.
pub(super) fn max_body(route: &str) -> usize {
    match route {
        personal_tokens::REFRESH => MAX_REFRESH,
        route if LARGE_BODIES.contains(&route) => MAX_BODY,
        _ => MAX_SMALL_BODY,
    }
}

/// What is read, and thrown away, of a body that was refused, and for how long: most clients read their
/// answer only after all is sent, and a connection that is closed before takes it from them.
const LINGER_BYTES: usize = 4 * MAX_BODY;
const LINGER_TIME: Duration = Duration::from_secs(5);

/// A handler asks the database a few times: after so many silences in a row it is not coming back.
const SILENCES: u32 = 4;

/// The routes that work through whole tables: a ledger of ten million rows takes minutes to delete.
const UNHURRIED: &[&str] = &["/api/storages/{kind}/{id}", "/api/storages/export/{kind}/{id}"];
const UNHURRIED_TIME: Duration = Duration::from_secs(60 * 60);

/// Marks an answer that was told at once, and whose end waits for a body that is thrown away.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lingering;

/// Whether a request works through whole tables.
pub(super) fn is_unhurried(method: &Method, route: &MatchedPath) -> bool {
    method == Method::DELETE && UNHURRIED.contains(&route.as_str())
}

/// Gives a request up that takes too long, whatever it waits for: a body that never ends, a connection
/// to the database that is half-open. A body that an answer streams may take its time.
pub(super) async fn in_time(
    State(state): State<ApiState>,
    route: MatchedPath,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let limit = if is_unhurried(request.method(), &route) { UNHURRIED_TIME } else { state.db.patience() * SILENCES };
    timeout(limit, next.run(request)).await.map_err(|_| ApiError::TimedOut)
}

/// Refuses a body by the length it announces, before any of it is read, and reserves memory for one that is large. A
/// body that announces no length may be as large as its route allows.
pub(super) async fn check_body(
    State(state): State<ApiState>,
    route: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let most = max_body(route.as_str());
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<u64>().ok());
    // A length that is no number never comes here: HTTP itself refuses it.
    if announced.is_some_and(|length| length > most as u64) {
        return refused(ApiError::body_too_large(), request);
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        // No handler reads the body of these.
        return next.run(request).await;
    }
    let most_left = request.body().size_hint().upper().unwrap_or(most as u64).min(most as u64);
    let bytes = usize::try_from(most_left).unwrap_or(most) * BYTES_PER_BODY_BYTE;
    let token = request.extensions().get::<Caller>().map_or_else(String::new, |caller| caller.name.clone());
    let reserved = match state.bodies.reserve(&token, bytes).await {
        Ok(reserved) => reserved,
        Err(error) => return refused(error, request),
    };
    let answer = next.run(request).await;
    // With the handler: what it made of the body is gone.
    drop(reserved);
    answer
}

/// Refuses a request whose body was not read.
fn refused(error: ApiError, request: Request) -> Response {
    let (mut head, refusal) = error.into_response().into_parts();
    // The answer ends after the body was thrown away, so its length is not told.
    head.headers.remove(header::CONTENT_LENGTH);
    head.extensions.insert(Lingering);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anybody_may_send_is_small_and_every_large_body_has_a_route() {
        assert_eq!(max_body(personal_tokens::REFRESH), MAX_REFRESH);
        assert_eq!(max_body("/api/tokens"), MAX_SMALL_BODY);
        let document = super::super::openapi::document();
        for route in LARGE_BODIES {
            assert_eq!(max_body(route), MAX_BODY);
            assert!(document.paths.paths.contains_key(*route), "no route {route}");
        }
    }
}
