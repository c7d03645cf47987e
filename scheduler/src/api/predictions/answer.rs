//! The JSON of a prediction.

use jiff::Timestamp;
use longshore_db::predictions::PredictionRow;
use longshore_db::printed::JsonTable;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::error::ApiResult;
use crate::api::results::ResultRow;
use crate::api::texts::{Omission, ShownText, raw};

/// A prediction of a task.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct PredictionBody<'a> {
    id: i64,
    task: i64,
    project: i64,
    /// `[]` if it is left out, see `left_out`.
    #[schema(value_type = Vec<Object>)]
    result: &'a RawValue,
    score: Option<f64>,
    model_version: String,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    updated_at: Timestamp,
    /// Why `result` is left out. Absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<Omission>,
}

impl ResultRow for PredictionRow {
    const TABLE: JsonTable = JsonTable::Predictions;

    type Body<'a> = PredictionBody<'a>;

    fn id(&self) -> i64 {
        self.id
    }

    fn stored_bytes(&self) -> i64 {
        self.stored_bytes
    }

    fn body<'a>(&self, result: ShownText<'a>) -> ApiResult<PredictionBody<'a>> {
        let (result, left_out) = raw(result, "[]")?;
        Ok(PredictionBody {
            id: self.id,
            task: self.task_id,
            project: self.project_id,
            result,
            score: self.score,
            model_version: self.model_version.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            left_out,
        })
    }
}
