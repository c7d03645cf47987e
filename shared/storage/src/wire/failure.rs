//! What a failed exchange means, read from the chain of causes below the HTTP client.

use std::error::Error;
use std::io;

use longshore_model::FailureReason;

use super::connect::ConnectError;
use crate::{ErrorKind, Op, StorageError};

/// Classifies a failure that left no answer.
pub(crate) fn no_answer(op: Op, error: impl Error + Send + Sync + 'static) -> StorageError {
    let (kind, reason) = classify(&error);
    StorageError::caused(op, kind, reason, error)
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
            // An I/O error's `source` skips the error it wraps.
            Some(wrapper) => wrapper.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    (ErrorKind::Unavailable, FailureReason::Unavailable)
}

/// Keeps the characters that error codes and request IDs consist of, at most 64: nothing else of an answer reaches a log.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(64).collect()
}
