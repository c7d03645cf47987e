//! Reads the body of a request, with limits on its size and time.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::unreadable;
use crate::api::body_size::MaxBody;
use crate::api::error::ApiError;

/// How long a client may take to send its body, because memory is reserved for it meanwhile. 16 MiB take this long at
/// 5 Mbit/s.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Reads the whole body of a request, up to the limit of its route.
pub(super) async fn read(request: Request) -> Result<Vec<u8>, ApiError> {
    let MaxBody(most) = request.extensions().get().copied().unwrap_or(MaxBody::SMALL);
    let mut body = request.into_body();
    let announced = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let mut bytes = Vec::with_capacity(announced.unwrap_or_default().min(most));
    let reading = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| unreadable(StatusCode::BAD_REQUEST, error.to_string()))?;
            let Ok(piece) = frame.into_data() else { continue };
            if bytes.len() + piece.len() > most {
                drop(std::mem::take(&mut bytes));
                discard(&mut body, most).await;
                return Err(ApiError::body_too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    };
    timeout(BODY_TIME, reading).await.map_err(|_| ApiError::SlowBody)?
}

/// How long the rest of a body that is too large is read and discarded.
const LINGER_TIME: Duration = Duration::from_secs(5);

/// Reads up to `most` further bytes and discards them. Most clients read the answer only after they have sent the whole
/// body. If the server closed the socket earlier, they would lose the answer.
async fn discard(body: &mut Body, most: usize) {
    let mut left = most;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(fewer) => left = fewer,
                None => return,
            }
        }
    };
    // The refusal is sent after this, also if the time is up.
    drop(timeout(LINGER_TIME, reading).await);
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use futures::{StreamExt as _, stream};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_refused_as_too_slow() {
        let pieces = stream::iter([Ok::<_, std::io::Error>("{")]).chain(stream::pending());
        let request = Request::new(Body::from_stream(pieces));
        let error = read(request).await.unwrap_err();
        assert_eq!((error.code(), error.into_response().status()), ("body_too_slow", StatusCode::REQUEST_TIMEOUT));
    }
}
