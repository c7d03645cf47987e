//! The common part of the clouds' refusals: the recorded cause, and the meaning of a status without a code.

use http::StatusCode;
use longshore_model::FailureReason;

use super::{Answer, plain};
use crate::{ErrorKind, Op, StorageError};

/// A throttled request; the wait comes from the answer's `Retry-After`.
pub(crate) const THROTTLED: (ErrorKind, FailureReason) =
    (ErrorKind::Throttled { retry_after: None }, FailureReason::Throttled);

/// A server's code for a refusal, recorded as the cause. Without its message, which may quote keys and accounts.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {status} {code}, request id {request_id}")]
pub(crate) struct Refusal {
    status: StatusCode,
    code: String,
    request_id: String,
}

impl Refusal {
    /// Whether the server stated a code of its API.
    pub(crate) fn has_code(&self) -> bool {
        !self.code.is_empty()
    }

    /// `403 AccessDenied`, or the status alone if the server stated no code.
    pub(crate) fn status_and_code(&self) -> String {
        let code = if self.code.is_empty() { self.status.canonical_reason().unwrap_or_default() } else { &self.code };
        format!("{} {code}", self.status.as_u16()).trim_end().to_owned()
    }
}

/// Builds the error for an answer with this kind, reason and code. `id_header` is the header with the server's ID of
/// the request.
pub(crate) fn refusal_error(
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
    StorageError::with_source(op, kind, reason, Refusal { status: answer.status, code: plain(code), request_id })
}

/// The meaning of 404 for a call: a missing object or a missing bucket.
pub(crate) fn missing(op: Op) -> (ErrorKind, FailureReason) {
    match op {
        Op::Get | Op::Head | Op::Delete | Op::Presign => (ErrorKind::NotFound, FailureReason::NoSuchObject),
        Op::Connect | Op::List | Op::Put => (ErrorKind::Invalid, FailureReason::NoSuchBucket),
    }
}

/// The meaning of a status without a known code.
pub(crate) fn by_status(op: Op, status: StatusCode) -> (ErrorKind, FailureReason) {
    use ErrorKind::{Denied, Invalid, Unavailable};
    match status.as_u16() {
        429 | 503 => THROTTLED,
        // The failure may be the server's or a proxy's; another try may succeed.
        408 | 500 | 502 | 504 => (Unavailable, FailureReason::Unavailable),
        401 | 403 => (Denied, FailureReason::AccessDenied),
        404 => missing(op),
        413 => (Invalid, FailureReason::TooLarge),
        416 => (Invalid, FailureReason::NoSuchRange),
        // The server does not know the request, and will not know it later.
        400..=499 | 501 | 505 => (Invalid, FailureReason::InvalidSettings),
        500..=599 => (Unavailable, FailureReason::Unavailable),
        _ => (Invalid, FailureReason::BadAnswer),
    }
}
