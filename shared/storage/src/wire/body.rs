//! Reads bodies of answers, within limits of size and patience.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use longshore_model::FailureReason;
use tokio::time::{Instant, timeout};

use super::{Answer, Call, SLOWEST, Wire, no_answer};
use crate::{ErrorKind, Op, StorageError};

/// As much of a refusal as is read; the code stands in its first lines.
const REFUSAL_BYTES: u64 = 64 * 1024;

/// How far an incoming body may fall behind, in times of `Timeouts::idle`. Less, and small objects that share a slow
/// line would be given up; more, and a server that sends a byte now and then keeps the memory that waits for the rest.
const SLACK: u32 = 2;

impl Wire {
    pub(super) async fn whole(&self, call: Call<'_>, response: Response<Incoming>) -> Result<Answer, StorageError> {
        let (head, body) = response.into_parts();
        let body = if head.status.is_success() {
            self.body(call.op, &head.headers, body, call.max_bytes).await?
        } else {
            self.refusal(body).await
        };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// Reads a body to its end, or fails with [`FailureReason::TooLarge`] as soon as that is certain.
    async fn body(&self, op: Op, headers: &HeaderMap, body: Incoming, max: u64) -> Result<Bytes, StorageError> {
        let too_large = || StorageError::new(op, ErrorKind::Invalid, FailureReason::TooLarge);
        if op != Op::Head && body.size_hint().lower() > max {
            return Err(too_large());
        }
        check_end(op, headers)?;
        let expected = usize::try_from(body.size_hint().lower()).unwrap_or_default();
        let mut held = BytesMut::with_capacity(expected);
        let mut body = body;
        let begun = Instant::now();
        while let Some(piece) = piece(op, &mut body, self.patience(begun, held.len())).await? {
            self.metrics.received(piece.len() as u64);
            if (held.len() + piece.len()) as u64 > max {
                return Err(too_large());
            }
            held.extend_from_slice(&piece);
        }
        Ok(held.freeze())
    }

    /// How long the next piece of a body may take, of which so much came since it began.
    fn patience(&self, begun: Instant, came: usize) -> Duration {
        let slowest = self.timeouts.idle * SLACK + Duration::from_secs(came as u64 / SLOWEST);
        slowest.saturating_sub(begun.elapsed()).min(self.timeouts.idle)
    }

    /// The first part of a refusal's body; whatever goes wrong here, the status still speaks.
    async fn refusal(&self, mut body: Incoming) -> Bytes {
        let mut held = BytesMut::new();
        let begun = Instant::now();
        while (held.len() as u64) < REFUSAL_BYTES
            && let Ok(Some(piece)) = piece(Op::Get, &mut body, self.patience(begun, held.len())).await
        {
            held.extend_from_slice(&piece);
        }
        held.freeze()
    }
}

/// The next piece of a body, or `None` after the last.
pub(super) async fn piece(op: Op, body: &mut Incoming, patience: Duration) -> Result<Option<Bytes>, StorageError> {
    loop {
        let frame = timeout(patience, body.frame())
            .await
            .map_err(|late| StorageError::caused(op, ErrorKind::Unavailable, FailureReason::Unavailable, late))?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(no_answer(op, error)),
            // Trailers carry nothing that is used here.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Refuses an object without a length or chunks: its body ends when the connection does, and a cut
/// one looks whole.
pub(super) fn check_end(op: Op, headers: &HeaderMap) -> Result<(), StorageError> {
    let has_end = headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING);
    if op == Op::Get && !has_end {
        return Err(StorageError::new(op, ErrorKind::Unavailable, FailureReason::BadAnswer));
    }
    Ok(())
}
