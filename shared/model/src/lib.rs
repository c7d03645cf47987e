//! The words of the domain: kinds, states, settings, filters and messages.
//!
//! Everything here is plain data and pure functions; nothing opens a socket, a file or a
//! transaction. The same word means the same thing in a table, in JSON, in a log and in a label.

mod filter;
pub mod json;
mod label_config;
mod message;
mod reason;
mod secret;
mod settings;
pub mod uri;
mod word;

pub use filter::{FilterError, KeyFilter, Matched, Skip};
pub use label_config::{DataKey, MAX_LABEL_CONFIG, UNDEFINED_KEY};
pub use message::{JobMessage, MESSAGE_VERSION, SyncRequest};
pub use reason::{FailureReason, QuarantineReason};
pub use secret::Secret;
pub use settings::{
    AzureConnection, AzureSecrets, Connection, ExportMode, ExportOptions, GcsConnection, GcsSecrets,
    LocalfilesConnection, RedisConnection, RedisSecrets, S3Connection, S3Secrets, S3sConnection, Secrets,
    StorageSettings, UnreadableSecrets,
};
pub use word::{Direction, JobKind, JobState, StorageKind, SyncStatus, UnknownWord};
