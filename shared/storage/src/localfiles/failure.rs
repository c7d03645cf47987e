//! What a failure of the file system means.

use std::io;

use longshore_model::FailureReason;

use crate::{ErrorKind, Op, StorageError};

/// A failure about one file.
pub(super) fn failed(op: Op, error: io::Error) -> StorageError {
    let (kind, reason) = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => (ErrorKind::NotFound, FailureReason::NoSuchObject),
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, FailureReason::AccessDenied),
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::Denied, FailureReason::ReadOnly),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Unavailable, FailureReason::StorageFull)
        }
        // What stands in the way of the name is for the user to clear.
        io::ErrorKind::IsADirectory | io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => {
            (ErrorKind::Invalid, FailureReason::InvalidSettings)
        }
        _ => (ErrorKind::Unavailable, FailureReason::Unavailable),
    };
    StorageError::caused(op, kind, reason, error)
}

/// A failure about the storage's folder as a whole.
pub(super) fn no_folder(op: Op, error: io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            StorageError::caused(op, ErrorKind::NotFound, FailureReason::NoSuchFolder, error)
        }
        _ => failed(op, error),
    }
}

/// A path that leaves the root.
pub(super) fn outside(op: Op) -> StorageError {
    StorageError::new(op, ErrorKind::Invalid, FailureReason::OutsideRoot)
}
