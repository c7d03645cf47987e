//! Reads message bodies: the version first, then the other fields.

use longshore_model::{JobMessage, MESSAGE_VERSION, SyncRequest};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A message that carries its version.
pub trait Message: DeserializeOwned {
    /// What the message has too much of; `None` if it is within the limits.
    fn excess(&self) -> Option<&'static str> {
        None
    }
}

impl Message for JobMessage {}

impl Message for SyncRequest {
    fn excess(&self) -> Option<&'static str> {
        self.excess()
    }
}

/// Why a body could not be read. Never quotes the body, which a stranger may have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not JSON, or not an object with a version.
    #[error("not a JSON object with a version, at line {line} column {column}")]
    NotJson { line: usize, column: usize },
    /// Written by a program with another message version.
    #[error("version {version} is not understood, only {MESSAGE_VERSION}")]
    Version { version: u32 },
    /// A field is missing, unknown or of another type.
    #[error("a field is missing, unknown or wrong, at line {line} column {column}")]
    Field { line: usize, column: usize },
    /// It asks for more than a caller of the API may.
    #[error("it has {excess}")]
    TooLarge { excess: &'static str },
}

#[derive(Deserialize)]
struct VersionField {
    version: u32,
}

/// Reads a message of the version that this program supports.
pub(crate) fn read<M: Message>(body: &[u8]) -> Result<M, MessageError> {
    let VersionField { version } = serde_json::from_slice(body)
        .map_err(|error| MessageError::NotJson { line: error.line(), column: error.column() })?;
    if version != MESSAGE_VERSION {
        return Err(MessageError::Version { version });
    }
    let message: M = serde_json::from_slice(body)
        .map_err(|error| MessageError::Field { line: error.line(), column: error.column() })?;
    match message.excess() {
        Some(excess) => Err(MessageError::TooLarge { excess }),
        None => Ok(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_model::{Direction, JobKind, StorageKind};

    #[test]
    fn a_job_message_reads_back_as_written() {
        let message = JobMessage { version: MESSAGE_VERSION, job: 7, kind: JobKind::Export };
        assert_eq!(read::<JobMessage>(&serde_json::to_vec(&message).unwrap()), Ok(message));
    }

    #[test]
    fn a_sync_request_needs_only_the_documented_fields() {
        let request: SyncRequest =
            read(br#"{"version":1,"kind":"s3","direction":"import","storage":3,"idempotency_key":"night"}"#).unwrap();
        assert_eq!((request.kind, request.direction, request.storage), (StorageKind::S3, Direction::Import, 3));
        assert_eq!(request.idempotency_key.as_deref(), Some("night"));
        assert_eq!(request.options, None);
    }

    #[test]
    fn a_sync_request_has_the_limits_of_the_api() {
        let request = |key: usize, tasks: usize| {
            let (key, tasks) = ("k".repeat(key), vec![1; tasks]);
            let request = serde_json::json!({"version": 1, "kind": "s3", "direction": "export", "storage": 3,
                                             "idempotency_key": key, "options": {"tasks": tasks}});
            read::<SyncRequest>(request.to_string().as_bytes())
        };
        assert!(request(255, 100_000).is_ok());
        for (key, tasks) in [(256, 1), (1, 100_001)] {
            let error = request(key, tasks).unwrap_err();
            assert!(matches!(error, MessageError::TooLarge { .. }), "{error}");
        }
    }

    #[test]
    fn another_version_is_named_even_if_its_fields_differ() {
        let error = read::<JobMessage>(br#"{"version":2,"jobs":[1,2]}"#).unwrap_err();
        assert_eq!(error, MessageError::Version { version: 2 });
    }

    #[test]
    fn an_unreadable_body_is_never_quoted() {
        for body in [&b"hunter2"[..], b"", b"\xff\xfe", br#"{"version":"hunter2"}"#, br#"["hunter2"]"#] {
            let error = read::<SyncRequest>(body).unwrap_err();
            assert!(matches!(error, MessageError::NotJson { .. }), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        for body in [&br#"{"version":1,"hunter2":1}"#[..], br#"{"version":1,"kind":"hunter2"}"#, br#"{"version":1}"#] {
            let error = read::<SyncRequest>(body).unwrap_err();
            assert!(matches!(error, MessageError::Field { .. }), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
