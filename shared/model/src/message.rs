//! What travels over the broker: ids and words, never data or secrets.

use serde::{Deserialize, Serialize};

use crate::{Direction, ExportOptions, JobKind, StorageKind};

/// The version this program writes and understands.
pub const MESSAGE_VERSION: u32 = 1;

/// Wakes a worker for one job. It may be lost, doubled or late without harm: the row is the truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobMessage {
    pub version: u32,
    pub job: i64,
    pub kind: JobKind,
}

/// A host's wish to sync a storage, published to exchange `longshore.requests`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    pub version: u32,
    pub kind: StorageKind,
    pub direction: Direction,
    /// The storage's id.
    pub storage: i64,
    /// Two requests with one key for one storage are one sync, however far apart they come.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    #[serde(default)]
    pub options: Option<ExportOptions>,
}
