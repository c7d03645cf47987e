//! Classifies failed exchanges, from the chain of causes of the HTTP client's error.

use std::error::Error;
use std::io;

use longshore_model::FailureReason;

use super::connect::ConnectError;
use crate::{ErrorKind, Op, StorageError};

/// Converts a failure without an answer.
pub(crate) fn no_answer(op: Op, error: impl Error + Send + Sync + 'static) -> StorageError {
    let (kind, reason) = classify(&error);
    StorageError::with_source(op, kind, reason, error)
}

fn classify(error: &(dyn Error + 'static)) -> (ErrorKind, FailureReason) {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(connect) = error.downcast_ref::<ConnectError>() {
            return match connect {
                ConnectError::Blocked => (ErrorKind::Invalid, FailureReason::BlockedAddress),
                ConnectError::Unresolved(_) | ConnectError::Refused(_) | ConnectError::TimedOut => {
                    (ErrorKind::Unavailable, FailureReason::Unreachable)
                }
            };
        }
        if error.is::<rustls::Error>() {
            return (ErrorKind::Invalid, FailureReason::Tls);
        }
        cause = match error.downcast_ref::<io::Error>() {
            // The `source` of an I/O error skips the error that it wraps.
            Some(wrapper) => wrapper.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    (ErrorKind::Unavailable, FailureReason::Unavailable)
}

/// Keeps at most 64 of the characters that occur in error codes and request IDs, so that no other text of an answer
/// reaches a log.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(64).collect()
}
