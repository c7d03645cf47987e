//! The messages that go through the broker. They hold IDs and kinds, never data or secrets.

use serde::{Deserialize, Serialize};

use crate::{Direction, ExportOptions, JobKind, MAX_EXPORT_TASKS, StorageKind};

/// The message version that this release writes and understands.
pub const MESSAGE_VERSION: u32 = 1;

/// Bytes of an idempotency key. Keys are names and are indexed, so a longer one is probably a mistake. Migration V10 has
/// the same limit.
pub const MAX_IDEMPOTENCY_KEY: usize = 255;

/// Wakes a worker for one job. The job's row is the truth, so a lost, repeated or late message does no harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobMessage {
    /// [`MESSAGE_VERSION`].
    pub version: u32,
    /// The ID of the job.
    pub job: i64,
    /// What the job does; it decides the queue.
    pub kind: JobKind,
}

/// A host's request to sync a storage, published to exchange `longshore.requests`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// [`MESSAGE_VERSION`].
    pub version: u32,
    /// The storage's kind. A storage of another kind is not found.
    pub kind: StorageKind,
    /// The storage's direction. A storage of the other direction is not found.
    pub direction: Direction,
    /// The ID of the storage.
    pub storage: i64,
    /// Requests for the same storage with the same key start one sync, however much time lies between them. `None` if
    /// the host gave none.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// What to export. `None` means the defaults. Has no meaning for import.
    #[serde(default)]
    pub options: Option<ExportOptions>,
}

impl SyncRequest {
    /// What the request has too much of; `None` if it is within the limits.
    pub fn excess(&self) -> Option<&'static str> {
        let tasks = self.options.as_ref().map_or(0, |options| options.tasks.len());
        if tasks > MAX_EXPORT_TASKS {
            return Some("more than 100,000 task IDs");
        }
        let key = self.idempotency_key.as_ref().map_or(0, String::len);
        (key > MAX_IDEMPOTENCY_KEY).then_some("an idempotency key of more than 255 bytes")
    }
}
