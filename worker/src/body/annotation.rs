//! The default unit: one annotation that contains its task.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::ago::ago;
use super::encode::{Layout, encode, measure};
use super::{AnnotationRow, Measurement, TaskRow};

/// Measures the object of an annotation before it is made. The result does not depend on the current time.
pub(crate) fn measure_annotation(annotation: &AnnotationRow, task: &TaskRow, layout: Layout) -> Measurement {
    measure(&Document::new(annotation, task), layout)
}

/// Makes the object of an annotation: ASCII JSON. `now` only affects `created_ago`.
pub(crate) fn annotation_body(
    annotation: &AnnotationRow,
    task: &TaskRow,
    now: Timestamp,
    measured: Measurement,
    layout: Layout,
) -> Bytes {
    /// `"created_ago": "11\u00a0months, 3\u00a0weeks", `
    const AGO_BYTES: usize = 64;
    let mut document = Document::new(annotation, task);
    document.created_ago = Some(ago(annotation.created_at, now));
    encode(&document, measured.length + AGO_BYTES, layout).into()
}

/// Label Studio's keys in its order.
#[derive(Serialize)]
struct Document<'a> {
    id: i64,
    result: &'a RawValue,
    created_username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_ago: Option<String>,
    completed_by: Option<User<'a>>,
    task: Task<'a>,
    was_cancelled: bool,
    ground_truth: bool,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    updated_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize_option")]
    draft_created_at: Option<Timestamp>,
    lead_time: Option<f64>,
    import_id: Option<i64>,
    last_action: Option<&'a str>,
    bulk_created: Option<bool>,
    project: i64,
    updated_by: Option<i64>,
    parent_prediction: Option<i64>,
    parent_annotation: Option<i64>,
    last_created_by: Option<i64>,
}

impl<'a> Document<'a> {
    fn new(annotation: &'a AnnotationRow, task: &'a TaskRow) -> Self {
        let details = &annotation.details;
        let completed_by = User::of(annotation);
        Self {
            id: annotation.id,
            result: &annotation.result,
            created_username: completed_by.as_ref().map(User::full_name).unwrap_or_default(),
            created_ago: None,
            completed_by,
            task: Task::new(task),
            was_cancelled: annotation.was_cancelled,
            ground_truth: annotation.ground_truth,
            created_at: annotation.created_at,
            updated_at: annotation.updated_at,
            draft_created_at: details.draft_created_at,
            lead_time: annotation.lead_time,
            import_id: details.import_id,
            last_action: details.last_action.as_deref(),
            bulk_created: details.bulk_created,
            project: annotation.project_id,
            updated_by: details.updated_by_id,
            parent_prediction: details.parent_prediction_id,
            parent_annotation: details.parent_annotation_id,
            last_created_by: details.last_created_by_id,
        }
    }
}

/// A user in the order of this shape. The native host knows only the ID.
#[derive(Serialize)]
struct User<'a> {
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
}

impl<'a> User<'a> {
    fn of(annotation: &'a AnnotationRow) -> Option<Self> {
        let names = annotation.details.user.as_ref();
        annotation.completed_by.map(|id| Self {
            id,
            first_name: names.map(|names| &*names.first_name),
            last_name: names.map(|names| &*names.last_name),
            email: names.map(|names| &*names.email),
        })
    }

    /// `<first> <last> <email>, <ID>`; without last name there is one space less.
    fn full_name(&self) -> String {
        let first = self.first_name.unwrap_or_default();
        let last = self.last_name.filter(|last| !last.is_empty()).map(|last| format!(" {last}")).unwrap_or_default();
        format!("{first}{last} {}, {}", self.email.unwrap_or_default(), self.id)
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
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_skip: Option<Option<bool>>,
    overlap: i32,
    inner_id: Option<i64>,
    total_annotations: i32,
    cancelled_annotations: i32,
    total_predictions: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    precomputed_agreement: Option<Option<f64>>,
    comment_count: i32,
    unresolved_comment_count: i32,
    #[serde(serialize_with = "longshore_model::time::serialize_option")]
    last_comment_updated_at: Option<Timestamp>,
    project: i64,
    updated_by: Option<i64>,
    file_upload: Option<i64>,
    comment_authors: &'a [i64],
}

impl<'a> Task<'a> {
    fn new(task: &'a TaskRow) -> Self {
        let details = &task.details;
        Self {
            id: task.id,
            data: &task.data,
            meta: &task.meta,
            created_at: task.created_at,
            updated_at: task.updated_at,
            is_labeled: details.is_labeled,
            allow_skip: details.allow_skip,
            overlap: details.overlap,
            inner_id: details.inner_id,
            total_annotations: task.total_annotations,
            cancelled_annotations: task.cancelled_annotations,
            total_predictions: task.total_predictions,
            precomputed_agreement: details.precomputed_agreement,
            comment_count: details.comment_count,
            unresolved_comment_count: details.unresolved_comment_count,
            last_comment_updated_at: details.last_comment_updated_at,
            project: task.project_id,
            updated_by: details.updated_by_id,
            file_upload: details.file_upload_id,
            comment_authors: &details.comment_authors,
        }
    }
}
