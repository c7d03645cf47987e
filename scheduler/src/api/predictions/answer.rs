//! Answers with predictions, and with as many of their results as fit.

use jiff::Timestamp;
use longshore_db::Client;
use longshore_db::predictions::PredictionRow;
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

/// Memory of a prediction without its result, in bytes, as of an annotation.
const ROW_BYTES: usize = 1024;

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

impl<'a> PredictionBody<'a> {
    pub(in crate::api) fn new(row: PredictionRow, result: ShownText<'a>) -> ApiResult<Self> {
        let (result, left_out) = raw(result, "[]")?;
        Ok(Self {
            id: row.id,
            task: row.task_id,
            project: row.project_id,
            result,
            score: row.score,
            model_version: row.model_version,
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

/// Reserves memory for the results that fit into an answer, and reads them. Returns the results and their size in bytes.
async fn read(client: &Client, rows: &[PredictionRow], reserved: &mut Reserved) -> Result<(Texts, usize), Unfinished> {
    let stored = rows.iter().map(|row| (row.id, row.stored_bytes)).collect();
    let sizes = Sizes::of(client, JsonTable::Predictions, stored).await?;
    let (mut chosen, mut budget) = (ChosenRows::new(sizes), AnswerBudget::default());
    for row in rows {
        budget.choose(&mut chosen, row.id);
    }
    reserved.grow_to(memory_of(budget.taken(), rows.len()))?;
    Ok((chosen.texts(client, JsonTable::Predictions).await?, budget.taken()))
}

/// Answers with a prediction.
pub(super) async fn answer(
    state: &ApiState,
    client: Client,
    row: PredictionRow,
    mut reserved: Reserved,
) -> Result<Answer, Unfinished> {
    let (texts, bytes) = read(&client, std::slice::from_ref(&row), &mut reserved).await?;
    drop(client);
    let write = move |_: &Stop| {
        let id = row.id;
        Answer::write(&PredictionBody::new(row, texts.result(id))?, bytes + ROW_BYTES, reserved)
    };
    Ok(state.offload.run(bytes, write).await?)
}

/// Answers with predictions of a task, at most `most`.
pub(super) async fn listed(
    state: &ApiState,
    client: Client,
    task: i64,
    mut rows: Vec<PredictionRow>,
    most: i64,
    mut reserved: Reserved,
) -> Result<Answer, Unfinished> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut is_cut = rows.len() > most;
    rows.truncate(most);
    let (texts, bytes) = read(&client, &rows, &mut reserved).await?;
    drop(client);
    // The next page starts with the first prediction that does not fit. One that is larger than any page is shown without
    // its result.
    if let Some(fitting) = rows.iter().position(|row| texts.get(row.id).err() == Some(Omission::AnswerFull)) {
        is_cut = true;
        rows.truncate(fitting.max(1));
    }
    let next = rows.last().filter(|_| is_cut).map(|row| format!("/api/predictions?task={task}&after={}", row.id));
    let all_bytes = bytes + ROW_BYTES * rows.len();
    let write = move |_: &Stop| {
        let bodies = rows.into_iter().map(|row| {
            let id = row.id;
            PredictionBody::new(row, texts.result(id))
        });
        Answer::write(&bodies.collect::<ApiResult<Vec<_>>>()?, all_bytes, reserved)
    };
    Ok(state.offload.run(all_bytes, write).await?.with_next(next))
}
