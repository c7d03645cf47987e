//! The messages that go through the broker. They hold IDs and kinds, never data or secrets.

use serde::{Deserialize, Serialize};

use crate::{Direction, ExportOptions, JobKind, StorageKind};

/// The message version that this release writes and understands.
pub const MESSAGE_VERSION: u32 = 1;

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
