//! Annotations as answers, with as much of their results as fits.

use chrono::{DateTime, Utc};
use longshore_db::Client;
use longshore_db::annotations::AnnotationRow;
use longshore_db::printed::JsonTable;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::answer::Answer;
use crate::api::auth::Caller;
use crate::api::error::ApiResult;
use crate::api::memory::Reserved;
use crate::api::offload::Stop;
use crate::api::tasks::{LeftOut, Shown, raw};
use crate::api::texts::{Chosen, Room, Sizes, Texts};

/// Bytes of an annotation without its result, as it is written.
pub(super) const ROW_BYTES: usize = 512;

/// An annotation of a task.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct AnnotationBody<'a> {
    id: i64,
    task: i64,
    project: i64,
    /// `[]` if it is left out.
    #[schema(value_type = Vec<serde_json::Value>)]
    result: &'a RawValue,
    was_cancelled: bool,
    ground_truth: bool,
    lead_time: Option<f64>,
    completed_by: Option<i64>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// Why `result` is empty; absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<LeftOut>,
}

impl<'a> AnnotationBody<'a> {
    pub(in crate::api) fn new(row: &AnnotationRow, result: Shown<'a>) -> ApiResult<Self> {
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

/// The results of annotations as far as they fit into an answer, the memory for it, and their bytes.
pub(super) async fn read(
    state: &ApiState,
    caller: &Caller,
    client: Client,
    rows: &[AnnotationRow],
) -> ApiResult<(Texts, Reserved, usize)> {
    let stored = rows.iter().map(|row| (row.id, row.stored_bytes)).collect();
    let sizes = Sizes::of(&client, JsonTable::Annotations, stored).await?;
    let (mut chosen, mut room) = (Chosen::new(sizes), Room::default());
    for row in rows {
        room.choose(&mut chosen, row.id);
    }
    // Not kept while it waits for memory. Rows as Postgres sent them, and the answer.
    drop(client);
    let reserved = state.memory.reserve(&caller.name, 3 * room.taken()).await?;
    let texts = chosen.texts(&state.db.client().await?, JsonTable::Annotations).await?;
    Ok((texts, reserved, room.taken()))
}

/// An annotation as an answer.
pub(super) async fn shown(state: &ApiState, caller: &Caller, client: Client, row: AnnotationRow) -> ApiResult<Answer> {
    let (texts, reserved, bytes) = read(state, caller, client, std::slice::from_ref(&row)).await?;
    let write =
        move |_: &Stop| Answer::write(&AnnotationBody::new(&row, texts.result(row.id))?, bytes + ROW_BYTES, reserved);
    state.offload.run(bytes, write).await
}
