//! What the clouds' refusals have in common: the cause that is kept, and the meaning of a bare status.

use http::StatusCode;
use longshore_model::FailureReason;

use super::{Answer, plain};
use crate::{ErrorKind, Op, StorageError};

/// A load that a server refuses; how long it asks to wait is read off its answer.
pub(crate) const THROTTLED: (ErrorKind, FailureReason) =
    (ErrorKind::Throttled { retry_after: None }, FailureReason::Throttled);

/// A server's own code for a refusal, kept as the cause. Its message is left out: it may quote keys and accounts.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {status} {code}, request id {request_id}")]
struct Refusal {
    status: StatusCode,
    code: String,
    request_id: String,
}

/// The error for an answer with this meaning and code. `id_header` names the request in the server's own logs.
pub(crate) fn refused(
    op: Op,
    answer: &Answer,
    (mut kind, reason): (ErrorKind, FailureReason),
    code: &str,
    id_header: &str,
) -> StorageError {
    if let ErrorKind::Throttled { retry_after } = &mut kind {
        *retry_after = answer.retry_after();
    }
    let request_id = plain(answer.header(id_header).unwrap_or("none"));
    StorageError::caused(op, kind, reason, Refusal { status: answer.status, code: plain(code), request_id })
}

/// What a missing object, or else a missing bucket, means for a call.
pub(crate) fn missing(op: Op) -> (ErrorKind, FailureReason) {
    match op {
        Op::Get | Op::Head | Op::Delete | Op::Presign => (ErrorKind::NotFound, FailureReason::NoSuchObject),
        Op::Connect | Op::List | Op::Put => (ErrorKind::Invalid, FailureReason::NoSuchBucket),
    }
}

/// What a status means whose code says no more.
pub(crate) fn by_status(op: Op, status: StatusCode) -> (ErrorKind, FailureReason) {
    use ErrorKind::{Denied, Invalid, Unavailable};
    match status.as_u16() {
        429 | 503 => THROTTLED,
        // Reached by the first attempt, or a proxy on the way: another try may pass.
        408 | 500 | 502 | 504 => (Unavailable, FailureReason::Unavailable),
        401 | 403 => (Denied, FailureReason::AccessDenied),
        404 => missing(op),
        416 => (Invalid, FailureReason::NoSuchRange),
        400..=499 => (Invalid, FailureReason::InvalidSettings),
        500..=599 => (Unavailable, FailureReason::Unavailable),
        _ => (Invalid, FailureReason::BadAnswer),
    }
}
