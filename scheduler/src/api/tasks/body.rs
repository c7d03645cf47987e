//! The JSON of a task, with Label Studio's fields in their order.

use jiff::Timestamp;
use longshore_db::tasks::{Summary, TaskRow};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::annotations::AnnotationBody;
use crate::api::error::ApiResult;
use crate::api::predictions::PredictionBody;
use crate::api::texts::{Omission, ShownText, raw};

/// A task, with Label Studio's fields in their order. Fields that Longshore does not store are empty.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskBody<'a> {
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    predictions: Option<Vec<PredictionBody<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Vec<AnnotationBody<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    drafts: Option<[(); 0]>,
    /// IDs of the users who annotated it, at most 1,000.
    annotators: Vec<i64>,
    inner_id: Option<i64>,
    cancelled_annotations: i32,
    total_annotations: i32,
    total_predictions: i32,
    #[serde(serialize_with = "longshore_model::time::serialize_option")]
    completed_at: Option<Timestamp>,
    annotations_results: &'static str,
    predictions_results: &'static str,
    predictions_score: Option<f64>,
    file_upload: Option<String>,
    /// The key of the object that the task was imported from; null if it was not imported.
    storage_filename: Option<String>,
    /// IDs of its annotations, comma-separated, at most 1,000.
    annotations_ids: String,
    /// Distinct versions, comma-separated.
    predictions_model_versions: String,
    avg_lead_time: Option<f64>,
    draft_exists: bool,
    #[schema(value_type = Vec<Object>)]
    updated_by: [(); 0],
    /// `{}` if it is left out, see `left_out`.
    #[schema(value_type = Object)]
    data: &'a RawValue,
    #[schema(value_type = Object)]
    meta: &'a RawValue,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    updated_at: Timestamp,
    is_labeled: bool,
    overlap: i32,
    comment_count: i32,
    unresolved_comment_count: i32,
    #[serde(serialize_with = "longshore_model::time::serialize_option")]
    last_comment_updated_at: Option<Timestamp>,
    project: i64,
    #[schema(value_type = Vec<Object>)]
    comment_authors: [(); 0],
    /// Why `data` and `meta` are left out. Absent if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<Omission>,
}

impl<'a> TaskBody<'a> {
    /// Makes a task of its row, data and meta. `inner` holds its annotations and predictions if the request asks for
    /// them.
    pub(super) fn new(
        row: TaskRow,
        summary: Summary,
        (data, meta): (ShownText<'a>, ShownText<'a>),
        inner: Option<(Vec<AnnotationBody<'a>>, Vec<PredictionBody<'a>>)>,
    ) -> ApiResult<Self> {
        let ((data, left_out), (meta, _)) = (raw(data, "{}")?, raw(meta, "{}")?);
        let drafts = inner.is_some().then_some([]);
        let (annotations, predictions) = inner.unzip();
        Ok(Self {
            id: row.id,
            predictions,
            annotations,
            drafts,
            annotators: summary.annotators,
            inner_id: None,
            cancelled_annotations: row.cancelled_annotations,
            total_annotations: row.total_annotations,
            total_predictions: row.total_predictions,
            completed_at: summary.completed_at,
            annotations_results: "",
            predictions_results: "",
            predictions_score: summary.mean_score,
            file_upload: None,
            storage_filename: row.storage_key,
            annotations_ids: summary.annotation_ids,
            predictions_model_versions: summary.model_versions,
            avg_lead_time: summary.mean_lead_time,
            draft_exists: false,
            updated_by: [],
            data,
            meta,
            created_at: row.created_at,
            updated_at: row.updated_at,
            is_labeled: row.total_annotations > 0,
            overlap: 1,
            comment_count: 0,
            unresolved_comment_count: 0,
            last_comment_updated_at: None,
            project: row.project_id,
            comment_authors: [],
            left_out,
        })
    }
}
