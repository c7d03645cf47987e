//! Limits the size of request bodies, and reserves memory for large ones.

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

/// Memory of a body per byte: the body itself, and the values that are made of it.
const BYTES_PER_BODY_BYTE: usize = 2;

/// How many bytes of a refused body are read and discarded, and for how long. Most clients read the answer only after
/// they have sent the whole body. If the server closed the socket earlier, they would lose the answer.
const LINGER_BYTES: usize = 4 * MaxBody::LARGE.0;
const LINGER_TIME: Duration = Duration::from_secs(5);

/// Marks an answer that is sent immediately but ends only after the request body has been discarded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lingering;

/// Refuses a body that announces too many bytes, before any of it is read, and reserves memory for a large one. A body
/// without an announced length counts as the largest that its route allows.
pub(super) async fn check_body(
    State(state): State<ApiState>,
    Extension(MaxBody(most)): Extension<MaxBody>,
    request: Request,
    next: Next,
) -> Response {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<u64>().ok());
    // The HTTP layer has already refused a length that is not a number.
    if announced.is_some_and(|length| length > most as u64) {
        return refused(ApiError::body_too_large(), request);
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        // Handlers of these methods read no body.
        return next.run(request).await;
    }
    let most_left = request.body().size_hint().upper().unwrap_or(most as u64).min(most as u64);
    let bytes = usize::try_from(most_left).unwrap_or(most) * BYTES_PER_BODY_BYTE;
    let token = match request.extensions().get::<Access>() {
        Some(Access::Token(caller)) => caller.name.clone(),
        Some(Access::HostUser(user)) => user.name.clone(),
        // Routes that take links read no body, so one share for all links is enough.
        Some(Access::Link(_)) | None => String::new(),
    };
    let reserved = match state.bodies.reserve(&token, bytes).await {
        Ok(reserved) => reserved,
        Err(error) => return refused(error, request),
    };
    let answer = next.run(request).await;
    // After the handler, because the values that it made of the body are dropped only now.
    drop(reserved);
    answer
}

/// Refuses a request whose body has not been read.
fn refused(error: ApiError, request: Request) -> Response {
    let (mut head, refusal) = error.into_response().into_parts();
    // The answer must not end before the body is discarded, so it announces no length.
    head.headers.remove(header::CONTENT_LENGTH);
    head.extensions.insert(Lingering);
    let answer = refusal.into_data_stream().chain(stream::once(discarded(request.into_body())));
    Response::from_parts(head, Body::from_stream(answer))
}

/// Reads and discards a body, within the limits above. Returns no bytes.
async fn discarded(body: Body) -> Result<Bytes, axum::Error> {
    let mut left = LINGER_BYTES;
    let reading = body.into_data_stream().try_for_each(|piece| {
        let is_enough = left < piece.len();
        left = left.saturating_sub(piece.len());
        async move { if is_enough { Err(axum::Error::new("enough")) } else { Ok(()) } }
    });
    // The refusal has been sent, so it does not matter how this ends.
    drop(timeout(LINGER_TIME, reading).await);
    Ok(Bytes::new())
}
