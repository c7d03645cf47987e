//! How much a request may announce to send, and the memory for it.

use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use super::ApiState;
use super::access::Access;
use super::body_size::MaxBody;
use super::error::ApiError;

/// Bytes that a body takes while it is read: its own, and those of the values made from it.
const BYTES_PER_BODY_BYTE: usize = 2;

/// How much of a refused body is read and discarded, and for how long. Most clients read their answer only after they
/// have sent everything, and closing the connection earlier would lose the answer.
const LINGER_BYTES: usize = 4 * MaxBody::LARGE.0;
const LINGER_TIME: Duration = Duration::from_secs(5);

/// Marks an answer that is sent at once, and whose end waits for a body that is discarded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lingering;

/// Refuses a body by the length it announces, before any of it is read, and reserves memory for one that is large. A
/// body that announces no length may be as large as its route allows.
pub(super) async fn check_body(
    State(state): State<ApiState>,
    Extension(MaxBody(most)): Extension<MaxBody>,
    request: Request,
    next: Next,
) -> Response {
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
    let token = match request.extensions().get::<Access>() {
        Some(Access::Token(caller)) => caller.name.clone(),
        // The routes that take links take no body, so all links may share one account.
        Some(Access::Link(_)) | None => String::new(),
    };
    let reserved = match state.bodies.reserve(&token, bytes).await {
        Ok(reserved) => reserved,
        Err(error) => return refused(error, request),
    };
    let answer = next.run(request).await;
    // Only after the handler: the values that it made from the body are dropped by now.
    drop(reserved);
    answer
}

/// Refuses a request whose body was not read.
fn refused(error: ApiError, request: Request) -> Response {
    let (mut head, refusal) = error.into_response().into_parts();
    // The answer ends after the body was discarded, so its length is not announced.
    head.headers.remove(header::CONTENT_LENGTH);
    head.extensions.insert(Lingering);
    let answer = refusal.into_data_stream().chain(stream::once(discarded(request.into_body())));
    Response::from_parts(head, Body::from_stream(answer))
}

/// Reads a body for a while and discards it; yields no bytes.
async fn discarded(body: Body) -> Result<Bytes, axum::Error> {
    let mut left = LINGER_BYTES;
    let reading = body.into_data_stream().try_for_each(|piece| {
        let is_enough = left < piece.len();
        left = left.saturating_sub(piece.len());
        async move { if is_enough { Err(axum::Error::new("enough")) } else { Ok(()) } }
    });
    // Whatever ended it: the refusal was sent.
    drop(timeout(LINGER_TIME, reading).await);
    Ok(Bytes::new())
}
