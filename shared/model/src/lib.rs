//! The words of the domain: kinds, states, settings, filters and messages.
//!
//! Everything here is plain data and pure functions; nothing opens a socket, a file or a
//! transaction. The same word means the same thing in a table, in JSON, in a log and in a label.

mod filter;
pub mod json;
pub mod kinds;
mod label_config;
mod message;
mod reason;
mod secret;
mod settings;
mod word;

pub use filter::{FilterError, KeyFilter, Matched, Skip};
pub use kinds::{
    AzureConnection, AzureSecrets, Connection, GcsConnection, GcsSecrets, LocalfilesConnection, NoSecrets,
    RedisConnection, RedisSecrets, S3Connection, S3Secrets, S3sConnection, Secrets, StorageKind, UnreadableSecrets,
};
pub use label_config::{DataKey, MAX_LABEL_CONFIG, UNDEFINED_KEY};
pub use message::{JobMessage, MESSAGE_VERSION, SyncRequest};
pub use reason::{FailureReason, QuarantineReason};
pub use secret::Secret;
pub use settings::{ExportMode, ExportOptions, StorageSettings};
pub use word::{Direction, JobKind, JobState, SyncStatus, UnknownWord};
