//! The unit of storages with `export_tasks`: one task with all its annotations.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::encode::{encode, measure};
use super::{AnnotationRow, Measurement, TaskRow, User};

/// Measures the object of a task before it is made.
pub(crate) fn measure_task(task: &TaskRow, annotations: &[AnnotationRow]) -> Measurement {
    measure(&Document::new(task, annotations))
}

/// Makes the object of a task, with its annotations in the given order: one line of ASCII JSON.
pub(crate) fn task_body(task: &TaskRow, annotations: &[AnnotationRow], measured: Measurement) -> Bytes {
    encode(&Document::new(task, annotations), measured.length).into()
}

/// The host's keys in the host's order. `()` is null: only the host knows the value.
#[derive(Serialize)]
struct Document<'a> {
    id: i64,
    annotations: Vec<Annotation<'a>>,
    drafts: [i64; 0],
    predictions: [i64; 0],
    data: &'a RawValue,
    meta: &'a RawValue,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    updated_at: Timestamp,
    allow_skip: bool,
    inner_id: (),
    total_annotations: i32,
    cancelled_annotations: i32,
    total_predictions: i32,
    comment_count: i32,
    unresolved_comment_count: i32,
    last_comment_updated_at: (),
    project: i64,
    updated_by: (),
    comment_authors: [i64; 0],
}

impl<'a> Document<'a> {
    fn new(task: &'a TaskRow, annotations: &'a [AnnotationRow]) -> Self {
        Self {
            id: task.id,
            annotations: annotations.iter().map(Annotation::new).collect(),
            drafts: [],
            predictions: [],
            data: &task.data,
            meta: &task.meta,
            created_at: task.created_at,
            updated_at: task.updated_at,
            allow_skip: true,
            inner_id: (),
            total_annotations: task.total_annotations,
            cancelled_annotations: task.cancelled_annotations,
            total_predictions: task.total_predictions,
            comment_count: 0,
            unresolved_comment_count: 0,
            last_comment_updated_at: (),
            project: task.project_id,
            updated_by: (),
            comment_authors: [],
        }
    }
}

#[derive(Serialize)]
struct Annotation<'a> {
    id: i64,
    completed_by: Option<User>,
    result: &'a RawValue,
    was_cancelled: bool,
    ground_truth: bool,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    updated_at: Timestamp,
    draft_created_at: (),
    lead_time: Option<f64>,
    prediction: (),
    result_count: usize,
    unique_id: (),
    import_id: (),
    last_action: (),
    bulk_created: bool,
    task: i64,
    project: i64,
    updated_by: (),
    parent_prediction: (),
    parent_annotation: (),
    last_created_by: (),
}

impl<'a> Annotation<'a> {
    fn new(annotation: &'a AnnotationRow) -> Self {
        Self {
            id: annotation.id,
            completed_by: annotation.completed_by.map(|id| User { id }),
            result: &annotation.result,
            was_cancelled: annotation.was_cancelled,
            ground_truth: annotation.ground_truth,
            created_at: annotation.created_at,
            updated_at: annotation.updated_at,
            draft_created_at: (),
            lead_time: annotation.lead_time,
            prediction: (),
            result_count: serde_json::from_str::<Vec<IgnoredAny>>(annotation.result.get())
                .map_or(0, |parts| parts.len()),
            unique_id: (),
            import_id: (),
            last_action: (),
            bulk_created: false,
            task: annotation.task_id,
            project: annotation.project_id,
            updated_by: (),
            parent_prediction: (),
            parent_annotation: (),
            last_created_by: (),
        }
    }
}
