//! Object storage as a sync needs it: one small trait, one kind a folder, errors by meaning.

mod error;
mod storage;

pub use error::{ErrorKind, Op, StorageError};
pub use storage::{ListPage, ListRequest, ObjectBody, ObjectMeta, Probe, PutOptions, Range, Storage};
