//! Object storage as a sync needs it: one small trait, one kind a folder, errors by meaning.

mod azure;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod metrics;
mod open;
mod operator;
mod s3;
mod storage;
#[cfg(test)]
mod tests;
mod wire;

pub use error::{ErrorKind, Op, StorageError};
pub use metrics::StorageMetrics;
pub use open::{InvalidSetting, Stores, check_settings};
pub use operator::Operator;
pub use s3::read_listing;
pub use storage::{ListPage, ListRequest, ObjectBody, ObjectMeta, ObjectStream, Probe, PutOptions, Range, Storage};
pub use wire::{AllowedEndpoints, Concurrency, InvalidEndpoint, RetryPolicy, Timeouts, WireOptions};
