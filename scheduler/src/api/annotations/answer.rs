//! Answers with annotations, and with as many of their results as fit.

use jiff::Timestamp;
use longshore_db::Client;
use longshore_db::annotations::{self, AnnotationRow};
use longshore_db::printed::JsonTable;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::answer::{Answer, texts_memory};
use crate::api::error::ApiResult;
use crate::api::memory::{Reserved, Unfinished};
use crate::api::offload::Stop;
use crate::api::texts::{AnswerBudget, ChosenRows, Omission, ShownText, Sizes, Texts, raw};

/// Memory of an annotation or prediction without its result, in bytes: its rows and its text in the answer. Measured:
/// 250 in the answer, and about as much in each of two rows.
pub(in crate::api) const ROW_BYTES: usize = 1024;

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

impl<'a> AnnotationBody<'a> {
    pub(in crate::api) fn new(row: &AnnotationRow, result: ShownText<'a>) -> ApiResult<Self> {
        let (result, left_out) = raw(result, "[]")?;
        Ok(Self {
            id: row.id,
            task: row.task_id,
            project: row.project_id,
            result,
            was_cancelled: row.was_cancelled,
            ground_truth: row.ground_truth,
            lead_time: row.lead_time,
            completed_by: row.completed_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
            left_out,
        })
    }
}

/// The memory of an answer with this many bytes of results, in bytes.
pub(super) fn memory_of(result_bytes: usize, rows: usize) -> usize {
    texts_memory(result_bytes) + ROW_BYTES * rows
}

/// Reserves memory for the results of annotations that fit into an answer, and reads them. Returns the results and
/// their size in bytes.
pub(super) async fn read(
    client: &Client,
    rows: &[AnnotationRow],
    reserved: &mut Reserved,
) -> Result<(Texts, usize), Unfinished> {
    let (mut chosen, mut budget) = (ChosenRows::new(sizes(client, rows).await?), AnswerBudget::default());
    for row in rows {
        budget.choose(&mut chosen, row.id);
    }
    reserved.grow_to(memory_of(budget.taken(), rows.len()))?;
    Ok((chosen.texts(client, JsonTable::Annotations).await?, budget.taken()))
}

/// Answers with an annotation.
pub(super) async fn answer(
    state: &ApiState,
    client: Client,
    row: AnnotationRow,
    mut reserved: Reserved,
) -> Result<Answer, Unfinished> {
    let (texts, bytes) = read(&client, std::slice::from_ref(&row), &mut reserved).await?;
    drop(client);
    let write =
        move |_: &Stop| Answer::write(&AnnotationBody::new(&row, texts.result(row.id))?, bytes + ROW_BYTES, reserved);
    Ok(state.offload.run(bytes, write).await?)
}

/// The printed size of an annotation's stored result in bytes. 0 if it is too large to be shown, or if the annotation
/// is missing: then the change itself answers 404.
pub(super) async fn stored_bytes(state: &ApiState, id: i64) -> ApiResult<usize> {
    let client = state.db.client().await?;
    let Some(row) = annotations::get(&client, id).await? else { return Ok(0) };
    let (mut chosen, mut budget) =
        (ChosenRows::new(sizes(&client, std::slice::from_ref(&row)).await?), AnswerBudget::default());
    budget.choose(&mut chosen, id);
    Ok(budget.taken())
}

/// The printed sizes of the results of annotations.
async fn sizes(client: &Client, rows: &[AnnotationRow]) -> ApiResult<Sizes> {
    Sizes::of(client, JsonTable::Annotations, rows.iter().map(|row| (row.id, row.stored_bytes)).collect()).await
}
