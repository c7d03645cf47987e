//! Reads the bodies of answers, with limits of size and time.

use std::io::Read;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::bufread::MultiGzDecoder;
use http::{HeaderMap, Response, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use longshore_model::FailureReason;
use tokio::time::{Instant, timeout};

use super::{Answer, Call, SLOWEST, Wire, no_answer};
use crate::{ErrorKind, Op, StorageError};

/// The most bytes of a refusal that are read; its code is in the first lines.
const REFUSAL_BYTES: u64 = 64 * 1024;

/// How gzip begins.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// How far an incoming body may fall behind the slowest rate, in multiples of `Timeouts::idle`. If it is lower, small
/// objects that share a slow line are given up; if it is higher, a server that sends a byte now and then occupies the
/// memory that is reserved for the rest.
const SLACK: u32 = 2;

impl Wire {
    pub(super) async fn read_answer(
        &self,
        call: Call<'_>,
        response: Response<Incoming>,
    ) -> Result<Answer, StorageError> {
        let (head, body) = response.into_parts();
        let body = if head.status.is_success() {
            let body = self.read_body(call.op, &head.headers, body, call.max_bytes).await?;
            if call.op == Op::List { unpacked(&head.headers, body, call.max_bytes)? } else { body }
        } else {
            self.read_refusal(body).await
        };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// Reads a body to its end, or fails with [`FailureReason::TooLarge`] as soon as the limit is certainly exceeded.
    async fn read_body(&self, op: Op, headers: &HeaderMap, body: Incoming, max: u64) -> Result<Bytes, StorageError> {
        let too_large = || StorageError::new(op, ErrorKind::Invalid, FailureReason::TooLarge);
        if op != Op::Head && body.size_hint().lower() > max {
            return Err(too_large());
        }
        check_end(op, headers)?;
        let expected = usize::try_from(body.size_hint().lower()).unwrap_or_default();
        let mut received = BytesMut::with_capacity(expected);
        let mut body = body;
        let begun = Instant::now();
        while let Some(piece) = read_piece(op, &mut body, self.patience(begun, received.len())).await? {
            self.metrics.add_received(piece.len() as u64);
            if (received.len() + piece.len()) as u64 > max {
                return Err(too_large());
            }
            received.extend_from_slice(&piece);
        }
        Ok(received.freeze())
    }

    /// How long the next piece may take, for a body that began at `begun` and of which `came` bytes have arrived.
    fn patience(&self, begun: Instant, came: usize) -> Duration {
        let slowest = self.timeouts.idle * SLACK + Duration::from_secs(came as u64 / SLOWEST);
        slowest.saturating_sub(begun.elapsed()).min(self.timeouts.idle)
    }

    /// Reads the first part of a refusal's body. Errors are ignored, because the status alone is meaningful.
    async fn read_refusal(&self, mut body: Incoming) -> Bytes {
        let mut received = BytesMut::new();
        let begun = Instant::now();
        while (received.len() as u64) < REFUSAL_BYTES
            && let Ok(Some(piece)) = read_piece(Op::Get, &mut body, self.patience(begun, received.len())).await
        {
            received.extend_from_slice(&piece);
        }
        received.freeze()
    }
}

/// The body of a listing, unpacked if a server or a proxy packed it although we do not ask for that.
fn unpacked(headers: &HeaderMap, body: Bytes, max: u64) -> Result<Bytes, StorageError> {
    let encoding = headers.get(header::CONTENT_ENCODING).and_then(|encoding| encoding.to_str().ok());
    if !encoding.is_some_and(|encoding| encoding.trim().eq_ignore_ascii_case("gzip")) || !body.starts_with(GZIP) {
        return Ok(body);
    }
    let mut unpacked = Vec::new();
    let read = MultiGzDecoder::new(&*body).take(max.saturating_add(1)).read_to_end(&mut unpacked);
    read.map_err(|error| StorageError::with_source(Op::List, ErrorKind::Unavailable, FailureReason::BadAnswer, error))?;
    if unpacked.len() as u64 > max {
        return Err(StorageError::new(Op::List, ErrorKind::Invalid, FailureReason::TooLarge));
    }
    Ok(unpacked.into())
}

/// Reads the next piece of a body. `None` after the last one.
pub(super) async fn read_piece(op: Op, body: &mut Incoming, patience: Duration) -> Result<Option<Bytes>, StorageError> {
    loop {
        let frame = timeout(patience, body.frame())
            .await
            .map_err(|late| StorageError::with_source(op, ErrorKind::Unavailable, FailureReason::Unavailable, late))?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(no_answer(op, error)),
            // Trailers are not used.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Rejects an object that has neither a length nor chunks: its body ends with the connection, so a truncated one
/// looks complete.
pub(super) fn check_end(op: Op, headers: &HeaderMap) -> Result<(), StorageError> {
    let has_end = headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING);
    if op == Op::Get && !has_end {
        return Err(StorageError::new(op, ErrorKind::Unavailable, FailureReason::BadAnswer));
    }
    Ok(())
}
