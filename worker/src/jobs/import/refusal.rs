//! What a failed read says about its object.

use longshore_model::{FailureReason, QuarantineReason};
use longshore_storage::{ErrorKind, StorageError};

/// What a failed read says about its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The object left the bucket.
    Vanished,
    /// The storage denies this object.
    Denied,
    /// The storage rejects the request for this object, or the object cannot be read.
    Refused,
    /// There was no usable answer.
    Unanswered,
    /// The storage as a whole refuses: credentials, bucket or connection.
    OfStorage,
}

impl Refusal {
    pub(super) fn of(error: &StorageError) -> Self {
        match error.kind {
            ErrorKind::NotFound => Self::Vanished,
            ErrorKind::Denied if is_about_one_object(error) => Self::Denied,
            ErrorKind::Invalid if is_about_one_object(error) => Self::Refused,
            ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::Cancelled => Self::OfStorage,
            ErrorKind::Throttled { .. } | ErrorKind::Unavailable => Self::Unanswered,
        }
    }

    /// Whether the answer was something other than the object.
    pub(super) fn is_mismatch(error: &StorageError) -> bool {
        error.reason == FailureReason::ContentMismatch
    }
}

/// The reason for which an object with this error is quarantined.
pub(super) fn reason_of(error: &StorageError) -> QuarantineReason {
    match error.kind {
        ErrorKind::Denied => QuarantineReason::Denied,
        ErrorKind::Throttled { .. } | ErrorKind::Unavailable => QuarantineReason::Unavailable,
        ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Cancelled => match error.reason {
            FailureReason::TooLarge => QuarantineReason::TooLarge,
            FailureReason::WrongValueType => QuarantineReason::WrongValueType,
            _ => QuarantineReason::Refused,
        },
    }
}

/// Whether a refusal concerns only the object, and not the credentials, the bucket or the connection.
fn is_about_one_object(error: &StorageError) -> bool {
    use FailureReason as Reason;
    match error.kind {
        ErrorKind::Denied => error.reason == Reason::AccessDenied,
        _ => !matches!(error.reason, Reason::NoSuchBucket | Reason::WrongRegion | Reason::Tls | Reason::BlockedAddress),
    }
}

#[cfg(test)]
mod tests {
    use longshore_storage::Op;

    use super::*;

    fn error(kind: ErrorKind, reason: FailureReason) -> StorageError {
        StorageError::new(Op::Get, kind, reason)
    }

    #[test]
    fn an_error_of_the_whole_storage_is_not_blamed_on_an_object() {
        let of = |kind, reason| Refusal::of(&error(kind, reason));
        assert_eq!(of(ErrorKind::Denied, FailureReason::AccessDenied), Refusal::Denied);
        assert_eq!(of(ErrorKind::Denied, FailureReason::ExpiredCredentials), Refusal::OfStorage);
        for reason in [FailureReason::NoSuchBucket, FailureReason::Tls, FailureReason::BlockedAddress] {
            assert_eq!(of(ErrorKind::Invalid, reason), Refusal::OfStorage, "{reason}");
        }
        for reason in [FailureReason::InvalidSettings, FailureReason::WrongValueType, FailureReason::TooLarge] {
            assert_eq!(of(ErrorKind::Invalid, reason), Refusal::Refused, "{reason}");
        }
    }

    #[test]
    fn an_object_is_quarantined_for_the_reason_of_its_error() {
        for (kind, reason, quarantined) in [
            (ErrorKind::Denied, FailureReason::AccessDenied, QuarantineReason::Denied),
            (ErrorKind::Unavailable, FailureReason::ContentMismatch, QuarantineReason::Unavailable),
            (ErrorKind::Unavailable, FailureReason::Unavailable, QuarantineReason::Unavailable),
            (ErrorKind::Invalid, FailureReason::TooLarge, QuarantineReason::TooLarge),
            (ErrorKind::Invalid, FailureReason::WrongValueType, QuarantineReason::WrongValueType),
            (ErrorKind::Invalid, FailureReason::InvalidSettings, QuarantineReason::Refused),
        ] {
            assert_eq!(reason_of(&error(kind, reason)), quarantined, "{reason}");
        }
    }
}
