//! The default unit: one annotation that contains its task.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::ago::ago;
use super::encode::{encode, measure};
use super::{AnnotationRow, Measurement, TaskRow, User};

/// Measures the object of an annotation before it is made. The result does not depend on the current time.
pub(crate) fn measure_annotation(annotation: &AnnotationRow, task: &TaskRow) -> Measurement {
    measure(&Document::new(annotation, task))
}

/// Makes the object of an annotation: one line of ASCII JSON. `now` only affects `created_ago`.
pub(crate) fn annotation_body(
    annotation: &AnnotationRow,
    task: &TaskRow,
    now: Timestamp,
    measured: Measurement,
) -> Bytes {
    /// `"created_ago": "11\u00a0months, 3\u00a0weeks", `
    const AGO_BYTES: usize = 64;
    let mut document = Document::new(annotation, task);
    document.created_ago = Some(ago(annotation.created_at, now));
    encode(&document, measured.length + AGO_BYTES).into()
}

/// The host's keys in the host's order. `()` is null: only the host knows the value.
#[derive(Serialize)]
struct Document<'a> {
    id: i64,
    result: &'a RawValue,
    created_username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_ago: Option<String>,
    completed_by: Option<User>,
    task: Task<'a>,
    was_cancelled: bool,
    ground_truth: bool,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    updated_at: Timestamp,
    draft_created_at: (),
    lead_time: Option<f64>,
    import_id: (),
    last_action: (),
    bulk_created: bool,
    project: i64,
    updated_by: (),
    parent_prediction: (),
    parent_annotation: (),
    last_created_by: (),
}

impl<'a> Document<'a> {
    fn new(annotation: &'a AnnotationRow, task: &'a TaskRow) -> Self {
        Self {
            id: annotation.id,
            result: &annotation.result,
            // The host's format is "<first> <last> <email>, <id>". Longshore only knows the ID.
            created_username: annotation.completed_by.map(|id| format!(" , {id}")).unwrap_or_default(),
            created_ago: None,
            completed_by: annotation.completed_by.map(|id| User { id }),
            task: Task::new(task),
            was_cancelled: annotation.was_cancelled,
            ground_truth: annotation.ground_truth,
            created_at: annotation.created_at,
            updated_at: annotation.updated_at,
            draft_created_at: (),
            lead_time: annotation.lead_time,
            import_id: (),
            last_action: (),
            bulk_created: false,
            project: annotation.project_id,
            updated_by: (),
            parent_prediction: (),
            parent_annotation: (),
            last_created_by: (),
        }
    }
}

#[derive(Serialize)]
struct Task<'a> {
    id: i64,
    data: &'a RawValue,
    meta: &'a RawValue,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    updated_at: Timestamp,
    is_labeled: bool,
    allow_skip: bool,
    overlap: i32,
    inner_id: (),
    total_annotations: i32,
    cancelled_annotations: i32,
    total_predictions: i32,
    precomputed_agreement: (),
    comment_count: i32,
    unresolved_comment_count: i32,
    last_comment_updated_at: (),
    project: i64,
    updated_by: (),
    file_upload: (),
    comment_authors: [i64; 0],
}

impl<'a> Task<'a> {
    fn new(task: &'a TaskRow) -> Self {
        /// The host's default: one annotation makes a task labeled.
        const OVERLAP: i32 = 1;
        Self {
            id: task.id,
            data: &task.data,
            meta: &task.meta,
            created_at: task.created_at,
            updated_at: task.updated_at,
            is_labeled: task.total_annotations >= OVERLAP,
            allow_skip: true,
            overlap: OVERLAP,
            inner_id: (),
            total_annotations: task.total_annotations,
            cancelled_annotations: task.cancelled_annotations,
            total_predictions: task.total_predictions,
            precomputed_agreement: (),
            comment_count: 0,
            unresolved_comment_count: 0,
            last_comment_updated_at: (),
            project: task.project_id,
            updated_by: (),
            file_upload: (),
            comment_authors: [],
        }
    }
}
