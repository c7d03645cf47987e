//! The cases, as data. Keys are in the order of their listing: what follows an object that Label Studio cannot read is not
//! imported by it.

mod annotations;
mod contents;
pub(crate) mod kinds;
mod listings;
pub(crate) mod oldest;
mod predictions;
mod projects;
mod refused;
pub(crate) mod settings;
mod turns;

use serde_json::{Value, json};

use super::case::Case;

/// All cases on S3 but those of [`settings`], which need an environment.
pub(crate) fn all() -> Vec<Case> {
    [
        listings::cases(),
        contents::cases(),
        refused::cases(),
        annotations::cases(),
        predictions::cases(),
        projects::cases(),
        turns::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// An object with one task, and what its row shows.
const TASK: &str = r#"{"data": {"image": "s3://x/1.jpg"}}"#;

fn task() -> Value {
    json!({"data": {"image": "s3://x/1.jpg"}})
}

/// A region of the choice.
const CAT: &str =
    r#"{"id": "r1", "from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["cat"]}}"#;

const DOG: &str =
    r#"{"id": "r2", "from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["dog"]}}"#;

/// A task with these annotations, as JSON text.
fn annotated(annotations: &str) -> String {
    format!(r#"{{"data": {{"image": "s3://x/1.jpg"}}, "annotations": {annotations}}}"#)
}

/// A task with these predictions, as JSON text.
fn predicted(predictions: &str) -> String {
    format!(r#"{{"data": {{"image": "s3://x/1.jpg"}}, "predictions": {predictions}}}"#)
}

/// The object `a` that Label Studio's sync stops at and Longshore quarantines, then one that only Longshore imports.
fn stops(entry: &'static str, name: &str, key: &str, content: impl AsRef<[u8]>) -> Case {
    Case::new(name)
        .object(key, content)
        .object("z.json", TASK)
        .ends(entry, [FAILED, &with_errors(1)], [FAILED_AGAIN, WITH_ERRORS_AGAIN])
        .task(entry, "z.json", Value::Null, task())
        .summary(entry, "columns", json!({}), json!({"image": 1}))
        .summary(entry, "common", json!([]), json!(["image"]))
}

/// The object `a` that Label Studio's sync stops at, and that Longshore makes the task `ours` of; then another one.
fn understood(entry: &'static str, name: &str, key: &str, content: impl AsRef<[u8]>, ours: Value) -> Case {
    Case::new(name)
        .object(key, content)
        .object("z.json", TASK)
        .ends(
            entry,
            [FAILED, "completed, 2 new, 0 existed, attempt 1"],
            [FAILED_AGAIN, "completed, 0 new, 2 existed, attempt 2"],
        )
        .task(entry, key, Value::Null, ours)
        .task(entry, "z.json", Value::Null, task())
        .summary(entry, "columns", json!({}), json!({"image": 2}))
        .summary(entry, "common", json!([]), json!(["image"]))
}

/// A task with annotations or predictions, and other columns.
fn labeled(labels: &str, rows: &Value, more: Value) -> Value {
    let mut task = json!({"data": {"image": "s3://x/1.jpg"}, "updated_by_id": 1, labels: rows});
    let columns = task.as_object_mut().expect("an object");
    columns.insert(format!("total_{labels}"), rows.as_array().map_or(0, Vec::len).into());
    columns.extend(more.as_object().cloned().unwrap_or_default());
    task
}

/// The row of a task with these annotations, which make it labeled.
fn with_annotations(rows: &Value) -> Value {
    labeled("annotations", rows, json!({"is_labeled": true}))
}

fn with_predictions(rows: &Value) -> Value {
    labeled("predictions", rows, json!({}))
}

/// The row of an annotation whose file says nothing else.
fn empty_annotation() -> Value {
    json!({"result": [], "updated_by_id": 1})
}

const FAILED: &str = "failed, null new, none existed, attempt 1, traceback, no time";

const FAILED_AGAIN: &str = "failed, null new, none existed, attempt 2, traceback, no time";

/// One object was quarantined in the first sync.
fn with_errors(new: usize) -> String {
    format!("completed_with_errors, {new} new, 0 existed, attempt 1, 1 invalid, traceback")
}

const WITH_ERRORS_AGAIN: &str = "completed, 0 new, 1 existed, attempt 2, traceback";
