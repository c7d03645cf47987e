//! Object storage for syncs: the trait `Storage`, one folder per kind, and errors classified by what the caller can
//! do.

mod azure;
mod circle;
mod cloud;
#[cfg(feature = "conformance")]
pub mod conformance;
mod doctor;
mod error;
mod explain;
mod explained;
mod filter_keys;
mod folder_markers;
mod gcs;
mod listed;
mod localfiles;
mod metrics;
mod names;
mod object_body;
mod open;
mod operator;
mod own_identity;
mod pages;
mod pasted;
mod probe;
mod redis;
mod s3;
mod storage;
#[cfg(test)]
mod tests;
mod wire;

#[cfg(feature = "conformance")]
pub use azure::read_azure_listing;
pub use doctor::{Check, Outcome, Snippet, Step};
pub use error::{ErrorKind, Op, StorageError};
pub use explain::{Explanation, explain};
pub use filter_keys::filter_keys;
pub use folder_markers::folder_markers;
#[cfg(feature = "conformance")]
pub use gcs::read_gcs_listing;
pub use listed::{ListPage, ListedObject, ListingFault, ObjectMeta, Respelled};
pub use localfiles::{DocumentRoot, InvalidRoot};
pub use metrics::StorageMetrics;
pub use object_body::ObjectBody;
pub use open::{InvalidSetting, Stores, check_settings};
pub use operator::Operator;
pub use own_identity::{InvalidOwnIdentity, OwnIdentity};
pub use pages::Pages;
pub use pasted::pasted_prefix;
pub use s3::read_listing;
pub use storage::{Endpoint, ListRequest, ObjectStream, Probe, PutOptions, Range, Storage};
pub use wire::{AllowedEndpoints, Concurrency, InvalidEndpoint, PostError, Poster, RetryPolicy, Timeouts, WireOptions};
