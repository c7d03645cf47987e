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

pub(crate) use annotation::{annotation_body, measure_annotation};
pub(crate) use task::{measure_task, task_body};

pub(crate) use longshore_db::host::{AnnotationRow, TaskRow};
use serde::Serialize;

/// What is known of a body before it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    /// Bytes without what only tells the time, which adds some dozen.
    pub(crate) length: usize,
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
