//! The exported JSON, as the host writes it: an annotation with its task, or a task with its annotations.
//!
//! Pure functions from rows to bytes. Every key of the host is there, in its order; what Longshore
//! does not know has the host's default.

mod ago;
mod annotation;
mod encode;
mod task;

#[cfg(test)]
mod tests;

pub(crate) use annotation::annotation_body;
pub(crate) use task::task_body;

use bytes::Bytes;
pub(crate) use longshore_db::host::{AnnotationRow, TaskRow};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// What one object gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    /// One line of JSON in ASCII.
    pub(crate) bytes: Bytes,
    /// SHA-256 of the body without what only tells the time: equal as long as the content is.
    pub(crate) digest: [u8; 32],
}

/// What one exported object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Annotation,
    Task,
}

/// The key of a unit's object: the prefix of the storage's keys, and the name right after it.
///
/// Tasks always end in `.json`, annotations if the storage says so.
pub(crate) fn object_key(prefix: &str, unit: Unit, id: i64, json_suffix: bool) -> String {
    let suffix = match unit {
        Unit::Task => ".json",
        Unit::Annotation if json_suffix => ".json",
        Unit::Annotation => "",
    };
    format!("{prefix}{id}{suffix}")
}

/// A user as far as Longshore knows one.
#[derive(Serialize)]
struct User {
    id: i64,
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
