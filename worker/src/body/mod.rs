//! The exported JSON, as the host writes it: an annotation with its task, or a task with its annotations.
//!
//! Pure functions from rows to bytes. The JSON has all keys of the host, in the host's order; values that Longshore
//! does not know have the host's defaults.

mod ago;
mod annotation;
mod encode;
mod task;

#[cfg(test)]
mod tests;

pub(crate) use annotation::{annotation_body, measure_annotation};
pub(crate) use task::{measure_task, task_body};

pub(crate) use longshore_db::host::{AnnotationRow, TaskRow};
use serde::Serialize;

/// The length and digest of a body, computed before the body is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measurement {
    /// Bytes without `created_ago`, which adds a few dozen.
    pub(crate) length: usize,
    /// SHA-256 of the body without `created_ago`: it only changes with the content.
    pub(crate) digest: [u8; 32],
}

/// The content of one exported object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Annotation,
    Task,
}

/// The key of a unit's object: the storage's prefix, directly followed by the name.
///
/// The keys of tasks always end in `.json`, those of annotations if `json_suffix` is set.
pub(crate) fn object_key(prefix: &str, unit: Unit, id: i64, json_suffix: bool) -> String {
    let suffix = match unit {
        Unit::Task => ".json",
        Unit::Annotation if json_suffix => ".json",
        Unit::Annotation => "",
    };
    format!("{prefix}{id}{suffix}")
}

/// The fields of a user that Longshore knows.
#[derive(Serialize)]
struct User {
    id: i64,
}
