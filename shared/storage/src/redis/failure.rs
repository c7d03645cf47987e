//! What a refusal by the server means. Its own words are not kept: they may quote a password.

use longshore_model::FailureReason;
use redis::{RedisError, ServerError};

use crate::wire::no_answer;
use crate::{ErrorKind, InvalidSetting, Op, StorageError};

/// The code of a refusal, for the log.
#[derive(Debug, thiserror::Error)]
#[error("the server says {0}")]
struct Said(&'static str);

/// An exchange that failed as a whole.
pub(super) fn broken(op: Op, error: RedisError) -> StorageError {
    if error.kind() == redis::ErrorKind::Parse {
        return StorageError::new(op, ErrorKind::Invalid, FailureReason::BadAnswer);
    }
    no_answer(op, error)
}

/// One command that the server refused.
pub(super) fn refused(op: Op, error: &ServerError) -> StorageError {
    let details = error.details().unwrap_or_default();
    let (kind, reason, said) = match error.code() {
        "NOAUTH" => (ErrorKind::Denied, FailureReason::WrongPassword, "NOAUTH"),
        "WRONGPASS" => (ErrorKind::Denied, FailureReason::WrongPassword, "WRONGPASS"),
        "NOPERM" => (ErrorKind::Denied, FailureReason::AccessDenied, "NOPERM"),
        "DENIED" => (ErrorKind::Denied, FailureReason::AccessDenied, "DENIED"),
        "WRONGTYPE" => (ErrorKind::Invalid, FailureReason::WrongValueType, "WRONGTYPE"),
        "LOADING" => (ErrorKind::Unavailable, FailureReason::Unavailable, "LOADING"),
        "BUSY" => (ErrorKind::Unavailable, FailureReason::Unavailable, "BUSY"),
        "MASTERDOWN" => (ErrorKind::Unavailable, FailureReason::Unavailable, "MASTERDOWN"),
        "NOREPLICAS" => (ErrorKind::Unavailable, FailureReason::Unavailable, "NOREPLICAS"),
        "MISCONF" => (ErrorKind::Unavailable, FailureReason::Unavailable, "MISCONF"),
        "READONLY" => (ErrorKind::Unavailable, FailureReason::ReadOnly, "READONLY"),
        "OOM" => (ErrorKind::Unavailable, FailureReason::StorageFull, "OOM"),
        "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" | "TRYAGAIN" => return cluster(op),
        _ if details.starts_with("max number of clients") => {
            (ErrorKind::Throttled { retry_after: None }, FailureReason::Throttled, "too many clients")
        }
        _ if details.starts_with("DB index") || details.starts_with("invalid DB index") => {
            let setting = InvalidSetting::new("db", "the server has no database of this number");
            return StorageError::caused(op, ErrorKind::Invalid, FailureReason::InvalidSettings, setting);
        }
        _ if details.starts_with("AUTH") || details.contains("called without any password") => {
            (ErrorKind::Denied, FailureReason::WrongPassword, "it asks for no password")
        }
        _ if details.starts_with("string exceeds") => (ErrorKind::Invalid, FailureReason::TooLarge, "too long"),
        _ => (ErrorKind::Invalid, FailureReason::BadAnswer, "ERR"),
    };
    StorageError::caused(op, kind, reason, Said(said))
}

/// A server that holds only a part of the keys.
pub(super) fn cluster(op: Op) -> StorageError {
    let setting =
        InvalidSetting::new("host", "a node of a Redis Cluster holds only some of the keys: use a server alone");
    StorageError::caused(op, ErrorKind::Invalid, FailureReason::InvalidSettings, setting)
}
