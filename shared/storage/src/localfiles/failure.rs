//! Maps failures of the file system to errors.

use std::io;

use longshore_model::FailureReason;

use crate::{ErrorKind, Op, StorageError};

/// Converts a failure of one file.
pub(super) fn file_error(op: Op, error: io::Error) -> StorageError {
    let (kind, reason) = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => (ErrorKind::NotFound, FailureReason::NoSuchObject),
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, FailureReason::AccessDenied),
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::Denied, FailureReason::ReadOnly),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Unavailable, FailureReason::StorageFull)
        }
        io::ErrorKind::FileTooLarge => (ErrorKind::Invalid, FailureReason::TooLarge),
        // Something else has this name, or the name is invalid: the user has to fix it.
        io::ErrorKind::IsADirectory | io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => {
            (ErrorKind::Invalid, FailureReason::InvalidSettings)
        }
        _ => (ErrorKind::Unavailable, FailureReason::Unavailable),
    };
    StorageError::with_source(op, kind, reason, error)
}

/// Converts a failure of the storage's folder itself.
pub(super) fn folder_error(op: Op, error: io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            StorageError::with_source(op, ErrorKind::NotFound, FailureReason::NoSuchFolder, error)
        }
        _ => file_error(op, error),
    }
}

/// The error for a path that leaves the root.
pub(super) fn outside_root(op: Op) -> StorageError {
    StorageError::new(op, ErrorKind::Invalid, FailureReason::OutsideRoot)
}
