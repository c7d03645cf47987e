//! The exported JSON, as the host writes it: an annotation with its task, or a task with its annotations.
//!
//! Pure functions from rows to bytes. The JSON has all keys of Label Studio, in Label Studio's order; values that the
//! native host does not know have Label Studio's defaults.

mod ago;
mod annotation;
mod encode;
mod task;

#[cfg(test)]
mod tests;

pub(crate) use annotation::{annotation_body, measure_annotation};
pub(crate) use encode::Layout;
pub(crate) use task::{measure_task, task_body};

pub(crate) use longshore_db::host::{AnnotationRow, TaskRow};

/// The length and digest of a body, computed before the body is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measurement {
    /// Bytes without `created_ago`, which adds a few dozen.
    pub(crate) length: usize,
    /// SHA-256 of the body without `created_ago`: it only changes with the content.
    pub(crate) digest: [u8; 32],
}

/// The key of a unit's object: the storage's prefix, directly followed by the name.
pub(crate) fn object_key(prefix: &str, id: i64, json_suffix: bool) -> String {
    let suffix = if json_suffix { ".json" } else { "" };
    format!("{prefix}{id}{suffix}")
}
