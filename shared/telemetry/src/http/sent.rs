//! Keeps a guard until an answer is sent, and not only until it is handed to hyper.
//!
//! Hyper takes the last bytes of a body into its buffer and drops the body before they are sent; a one-piece answer
//! is dropped before its client has read anything. So the guard is attached to the bytes as well, which hyper drops
//! when the system has taken the last of them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

/// Wraps a body so that it keeps `guard` until its last byte has left the process or was given up.
pub fn keep_until_sent<G: Send + Sync + 'static>(body: Body, guard: G) -> Body {
    Body::new(GuardedBody { body, guard: Arc::new(guard) })
}

struct GuardedBody<G> {
    body: Body,
    guard: Arc<G>,
}

impl<G: Send + Sync + 'static> HttpBody for GuardedBody<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let GuardedBody { body, guard } = &mut *self;
        let guarded = |bytes| Bytes::from_owner(GuardedBytes { bytes, _guard: Arc::clone(guard) });
        Pin::new(body).poll_frame(cx).map_ok(|frame| frame.map_data(guarded))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes that also keep the guard.
struct GuardedBytes<G> {
    bytes: Bytes,
    _guard: Arc<G>,
}

impl<G> AsRef<[u8]> for GuardedBytes<G> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn the_guard_is_kept_by_the_body_and_by_each_of_its_bytes() {
        let guard = Arc::new(());
        let mut body = keep_until_sent(Body::from("one piece"), Arc::clone(&guard));
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let bytes = frame.expect("a frame").expect("bytes").into_data().expect("bytes");
        assert!(body.is_end_stream() && bytes == "one piece");
        drop(body);
        let rest = bytes.slice(4..);
        drop(bytes);
        assert_eq!(Arc::strong_count(&guard), 2, "not all bytes are sent");
        drop(rest);
        assert_eq!(Arc::strong_count(&guard), 1);
    }
}
