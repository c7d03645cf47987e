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

#[cfg(test)]
mod tests {
    use std::error::Error;

    use redis::Value;

    use super::*;

    fn meaning(said: &str) -> StorageError {
        let Ok(Value::ServerError(error)) = redis::parse_redis_value(format!("-{said}\r\n").as_bytes()) else {
            panic!("a refusal");
        };
        refused(Op::Put, &error)
    }

    #[test]
    fn each_refusal_has_its_meaning() {
        let cases = [
            ("NOAUTH Authentication required.", ErrorKind::Denied, FailureReason::WrongPassword),
            ("WRONGPASS invalid username-password pair", ErrorKind::Denied, FailureReason::WrongPassword),
            ("ERR AUTH <password> called without any password", ErrorKind::Denied, FailureReason::WrongPassword),
            ("NOPERM this user has no permissions", ErrorKind::Denied, FailureReason::AccessDenied),
            ("WRONGTYPE Operation against a key", ErrorKind::Invalid, FailureReason::WrongValueType),
            ("LOADING Redis is loading the dataset", ErrorKind::Unavailable, FailureReason::Unavailable),
            ("BUSY Redis is busy running a script", ErrorKind::Unavailable, FailureReason::Unavailable),
            ("MISCONF errors writing to disk", ErrorKind::Unavailable, FailureReason::Unavailable),
            ("READONLY You can't write against", ErrorKind::Unavailable, FailureReason::ReadOnly),
            ("OOM command not allowed", ErrorKind::Unavailable, FailureReason::StorageFull),
            ("MOVED 3999 127.0.0.1:6381", ErrorKind::Invalid, FailureReason::InvalidSettings),
            ("ERR DB index is out of range", ErrorKind::Invalid, FailureReason::InvalidSettings),
            ("ERR string exceeds maximum allowed size", ErrorKind::Invalid, FailureReason::TooLarge),
            ("ERR unknown command", ErrorKind::Invalid, FailureReason::BadAnswer),
        ];
        for (said, kind, reason) in cases {
            let error = meaning(said);
            assert_eq!((error.kind, error.reason), (kind, reason), "{said}");
        }
        let many = meaning("ERR max number of clients reached");
        assert_eq!(many.kind, ErrorKind::Throttled { retry_after: None });
    }

    #[test]
    fn the_words_of_a_server_are_not_kept_for_they_may_quote_a_password() {
        let error = meaning("ERR unknown command 'AUTH', with args beginning with: 'hunter2'");
        let told = format!("{error} {error:?} {}", error.source().map(ToString::to_string).unwrap_or_default());
        assert!(!told.contains("hunter2"), "{told}");
    }
}
