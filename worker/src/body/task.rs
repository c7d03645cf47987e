//! The unit of storages with `export_tasks`: one task with all its annotations.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::encode::{Layout, encode, measure};
use super::{AnnotationRow, Measurement, TaskRow};

/// Measures the object of a task before it is made.
pub(crate) fn measure_task(task: &TaskRow, annotations: &[AnnotationRow], layout: Layout) -> Measurement {
    measure(&Document::new(task, annotations), layout)
}

/// Makes the object of a task, with its annotations in the given order: ASCII JSON.
pub(crate) fn task_body(task: &TaskRow, annotations: &[AnnotationRow], measured: Measurement, layout: Layout) -> Bytes {
    encode(&Document::new(task, annotations), measured.length, layout).into()
}

/// Label Studio's keys in its order.
#[derive(Serialize)]
struct Document<'a> {
    id: i64,
    annotations: Vec<Annotation<'a>>,
    /// The name of the uploaded file that the task comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_upload: Option<&'a str>,
    drafts: &'a [i64],
    predictions: &'a [i64],
    data: &'a RawValue,
    meta: &'a RawValue,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_skip: Option<Option<bool>>,
    inner_id: Option<i64>,
    total_annotations: i32,
    cancelled_annotations: i32,
    total_predictions: i32,
    comment_count: i32,
    unresolved_comment_count: i32,
    #[serde(serialize_with = "longshore_model::time::serialize_option")]
    last_comment_updated_at: Option<Timestamp>,
    project: i64,
    updated_by: Option<i64>,
    comment_authors: &'a [i64],
}

impl<'a> Document<'a> {
    fn new(task: &'a TaskRow, annotations: &'a [AnnotationRow]) -> Self {
        Self {
            id: task.id,
            annotations: annotations.iter().map(Annotation::new).collect(),
            file_upload: task.details.file_upload.as_deref().map(file_name),
            drafts: &task.details.drafts,
            predictions: &task.details.predictions,
            data: &task.data,
            meta: &task.meta,
            created_at: task.created_at,
            updated_at: task.updated_at,
            allow_skip: task.details.allow_skip,
            inner_id: task.details.inner_id,
            total_annotations: task.total_annotations,
            cancelled_annotations: task.cancelled_annotations,
            total_predictions: task.total_predictions,
            comment_count: task.details.comment_count,
            unresolved_comment_count: task.details.unresolved_comment_count,
            last_comment_updated_at: task.details.last_comment_updated_at,
            project: task.project_id,
            updated_by: task.details.updated_by_id,
            comment_authors: &task.details.comment_authors,
        }
    }
}

/// The last part of a path.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A user in the order of this shape. The native host knows only the ID.
#[derive(Serialize)]
struct User<'a> {
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_name: Option<&'a str>,
}

impl<'a> User<'a> {
    fn of(annotation: &'a AnnotationRow) -> Option<Self> {
        let names = annotation.details.user.as_ref();
        annotation.completed_by.map(|id| Self {
            id,
            email: names.map(|names| &*names.email),
            first_name: names.map(|names| &*names.first_name),
            last_name: names.map(|names| &*names.last_name),
        })
    }
}

#[derive(Serialize)]
struct Annotation<'a> {
    id: i64,
    completed_by: Option<User<'a>>,
    result: &'a RawValue,
    was_cancelled: bool,
    ground_truth: bool,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    updated_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize_option")]
    draft_created_at: Option<Timestamp>,
    lead_time: Option<f64>,
    prediction: Option<&'a RawValue>,
    result_count: i64,
    unique_id: Option<&'a str>,
    import_id: Option<i64>,
    last_action: Option<&'a str>,
    bulk_created: Option<bool>,
    task: i64,
    project: i64,
    updated_by: Option<i64>,
    parent_prediction: Option<i64>,
    parent_annotation: Option<i64>,
    last_created_by: Option<i64>,
}

impl<'a> Annotation<'a> {
    fn new(annotation: &'a AnnotationRow) -> Self {
        let details = &annotation.details;
        Self {
            id: annotation.id,
            completed_by: User::of(annotation),
            result: &annotation.result,
            was_cancelled: annotation.was_cancelled,
            ground_truth: annotation.ground_truth,
            created_at: annotation.created_at,
            updated_at: annotation.updated_at,
            draft_created_at: details.draft_created_at,
            lead_time: annotation.lead_time,
            prediction: details.prediction.as_deref(),
            result_count: details.result_count.unwrap_or_else(|| part_count(&annotation.result)),
            unique_id: details.unique_id.as_deref(),
            import_id: details.import_id,
            last_action: details.last_action.as_deref(),
            bulk_created: details.bulk_created,
            task: annotation.task_id,
            project: annotation.project_id,
            updated_by: details.updated_by_id,
            parent_prediction: details.parent_prediction_id,
            parent_annotation: details.parent_annotation_id,
            last_created_by: details.last_created_by_id,
        }
    }
}

/// The length of a result; 0 if it is not a list.
fn part_count(result: &RawValue) -> i64 {
    let parts = serde_json::from_str::<Vec<IgnoredAny>>(result.get());
    parts.map_or(0, |parts| i64::try_from(parts.len()).unwrap_or(i64::MAX))
}
