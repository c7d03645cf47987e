//! The vocabulary of Longshore: kinds, states, settings and messages.
//!
//! This crate has only data types and pure functions: no sockets, files or database. A kind, state or reason has one
//! spelling, which tables, JSON, logs and metric labels share.

mod advice;
mod capabilities;
mod deletion;
mod item_warning;
pub mod json;
pub mod json_parts;
pub mod kinds;
mod message;
pub mod python;
mod quarantine_reason;
mod reason;
mod secret;
mod settings;
pub mod time;
mod word;

pub use capabilities::{Capabilities, KeyOrder, Paging, StartAfter};
pub use deletion::{Deletion, Removed};
pub use item_warning::ItemWarning;
pub use kinds::{
    AzureConnection, AzureSecrets, Connection, GcsConnection, GcsSecrets, LocalfilesConnection, NoSecrets,
    RedisConnection, RedisSecrets, S3Connection, S3Secrets, S3sConnection, Secrets, StorageKind, UnreadableSecrets,
};
pub use message::{JobMessage, MAX_IDEMPOTENCY_KEY, MESSAGE_VERSION, SyncRequest};
pub use quarantine_reason::QuarantineReason;
pub use reason::FailureReason;
pub use secret::Secret;
pub use settings::{ExportMode, ExportOptions, MAX_EXPORT_TASKS, StorageSettings};
pub use word::{Direction, JobKind, JobState, SyncStatus, UnknownWord, WaitingFor};

/// Bytes of a label config, the most that a project may have.
///
/// The largest that people make, with thousands of choices, take some hundred kilobytes. Each job of the project reads
/// it: much more would take time from others.
pub const MAX_LABEL_CONFIG: usize = 1024 * 1024;
