//! Maps refusals of the server to errors. The server's messages are dropped, because they may quote a password.

use longshore_model::FailureReason;
use redis::{RedisError, ServerError};

use crate::wire::no_answer;
use crate::{ErrorKind, InvalidSetting, Op, StorageError};

/// The code of a refusal, for the log.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {0}")]
pub(crate) struct RefusalCode(pub(crate) &'static str);

/// Converts a failure of the whole exchange.
pub(super) fn broken(op: Op, error: RedisError) -> StorageError {
    if error.kind() == redis::ErrorKind::Parse {
        return StorageError::new(op, ErrorKind::Invalid, FailureReason::BadAnswer);
    }
    no_answer(op, error)
}

/// Converts the refusal of one command.
pub(super) fn refusal_error(op: Op, error: &ServerError) -> StorageError {
    let details = error.details().unwrap_or_default();
    let (kind, reason, code) = match error.code() {
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
            let setting = InvalidSetting::new("db", "the server has no database with this number");
            return StorageError::with_source(op, ErrorKind::Invalid, FailureReason::InvalidSettings, setting);
        }
        _ if details.starts_with("AUTH") || details.contains("called without any password") => {
            (ErrorKind::Denied, FailureReason::WrongPassword, "the server has no password")
        }
        // The second is the answer of a server whose `proto-max-bulk-len` is lower; it then closes the connection.
        _ if details.starts_with("string exceeds") || details.ends_with("invalid bulk length") => {
            (ErrorKind::Invalid, FailureReason::TooLarge, "too long")
        }
        _ => (ErrorKind::Invalid, FailureReason::BadAnswer, "ERR"),
    };
    StorageError::with_source(op, kind, reason, RefusalCode(code))
}

/// The error for a server that holds only a part of the keys.
pub(super) fn cluster(op: Op) -> StorageError {
    let setting =
        InvalidSetting::new("host", "a node of a Redis Cluster holds only some of the keys: use a standalone server");
    StorageError::with_source(op, ErrorKind::Invalid, FailureReason::InvalidSettings, setting)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use redis::Value;

    use super::*;

    fn meaning(code: &str) -> StorageError {
        let Ok(Value::ServerError(error)) = redis::parse_redis_value(format!("-{code}\r\n").as_bytes()) else {
            panic!("a refusal");
        };
        refusal_error(Op::Put, &error)
    }

    #[test]
    fn each_refusal_has_its_error() {
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
            ("ERR Protocol error: invalid bulk length", ErrorKind::Invalid, FailureReason::TooLarge),
            ("ERR unknown command", ErrorKind::Invalid, FailureReason::BadAnswer),
        ];
        for (code, kind, reason) in cases {
            let error = meaning(code);
            assert_eq!((error.kind, error.reason), (kind, reason), "{code}");
        }
        let many = meaning("ERR max number of clients reached");
        assert_eq!(many.kind, ErrorKind::Throttled { retry_after: None });
    }

    #[test]
    fn a_servers_message_which_may_quote_a_password_is_dropped() {
        let error = meaning("ERR unknown command 'AUTH', with args beginning with: 'hunter2'");
        let shown = format!("{error} {error:?} {}", error.source().map(ToString::to_string).unwrap_or_default());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
