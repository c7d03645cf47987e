//! The JSON of an annotation.

use jiff::Timestamp;
use longshore_db::annotations::AnnotationRow;
use longshore_db::printed::JsonTable;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::error::ApiResult;
use crate::api::results::ResultRow;
use crate::api::texts::{Omission, ShownText, raw};

/// An annotation of a task.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct AnnotationBody<'a> {
    id: i64,
    task: i64,
    project: i64,
    /// `[]` if it is left out, see `left_out`.
    #[schema(value_type = Vec<serde_json::Value>)]
    result: &'a RawValue,
    was_cancelled: bool,
    ground_truth: bool,
    lead_time: Option<f64>,
    completed_by: Option<i64>,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    updated_at: Timestamp,
    /// Why `result` is left out. Absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<Omission>,
}

impl ResultRow for AnnotationRow {
    const TABLE: JsonTable = JsonTable::Annotations;

    type Body<'a> = AnnotationBody<'a>;

    fn id(&self) -> i64 {
        self.id
    }

    fn stored_bytes(&self) -> i64 {
        self.stored_bytes
    }

    fn body<'a>(&self, result: ShownText<'a>) -> ApiResult<AnnotationBody<'a>> {
        let (result, left_out) = raw(result, "[]")?;
        Ok(AnnotationBody {
            id: self.id,
            task: self.task_id,
            project: self.project_id,
            result,
            was_cancelled: self.was_cancelled,
            ground_truth: self.ground_truth,
            lead_time: self.lead_time,
            completed_by: self.completed_by,
            created_at: self.created_at,
            updated_at: self.updated_at,
            left_out,
        })
    }
}
