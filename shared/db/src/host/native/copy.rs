//! Inserts tasks with their annotations and predictions, by binary `COPY`.

use tokio_postgres::types::Type;

use crate::host::NewTask;
use crate::host::rows::{Rows, Value};
use crate::{Result, Transaction};

/// Inserts tasks of a storage, or of a user who sent them, with their annotations and predictions. Returns the IDs of the tasks,
/// in order.
pub(super) async fn insert(
    tx: &Transaction<'_>,
    project_id: i64,
    storage_id: Option<i64>,
    tasks: &[NewTask<'_>],
) -> Result<Vec<i64>> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let ids = reserve_ids(tx, tasks.len()).await?;
    copy_tasks(tx, (project_id, storage_id), tasks, &ids).await?;
    copy_annotations(tx, project_id, tasks, &ids).await?;
    copy_predictions(tx, project_id, tasks, &ids).await?;
    Ok(ids)
}

/// Takes the task IDs from the sequence before the copy, because the ledger rows need them.
async fn reserve_ids(tx: &Transaction<'_>, count: usize) -> Result<Vec<i64>> {
    // `nextval` for each ID, because others take IDs at the same time. Returned as one array: rows would cost more.
    let take = "SELECT array_agg(nextval('tasks_id_seq')) FROM generate_series(1, $1::int)";
    let statement = tx.prepare_cached(take).await?;
    Ok(tx.query_one(&statement, &[&i32::try_from(count).unwrap_or(i32::MAX)]).await?.get(0))
}

async fn copy_tasks(
    tx: &Transaction<'_>,
    (project_id, storage_id): (i64, Option<i64>),
    tasks: &[NewTask<'_>],
    ids: &[i64],
) -> Result<()> {
    let copy = "COPY tasks (id, project_id, data, meta, storage_id, storage_key,
                       total_annotations, cancelled_annotations, total_predictions)
                FROM STDIN (FORMAT binary)";
    let mut rows = Rows::begin(tx, copy).await?;
    for (task, id) in tasks.iter().zip(ids) {
        let cancelled = task.annotations.iter().filter(|annotation| annotation.was_cancelled).count();
        let total = task.annotations.len() - cancelled;
        rows.add(&[
            Value::Small(id, Type::INT8),
            Value::Small(&project_id, Type::INT8),
            Value::Json(task.data),
            Value::Json(task.meta.unwrap_or("{}")),
            Value::Small(&storage_id, Type::INT8),
            Value::Small(&storage_id.map(|_| task.key), Type::TEXT),
            Value::Small(&count(total), Type::INT4),
            Value::Small(&count(cancelled), Type::INT4),
            Value::Small(&count(task.predictions.len()), Type::INT4),
        ])
        .await?;
    }
    rows.finish().await
}

async fn copy_annotations(tx: &Transaction<'_>, project_id: i64, tasks: &[NewTask<'_>], ids: &[i64]) -> Result<()> {
    if tasks.iter().all(|task| task.annotations.is_empty()) {
        return Ok(());
    }
    let copy = "COPY annotations (task_id, project_id, result, was_cancelled, ground_truth, lead_time, completed_by)
                FROM STDIN (FORMAT binary)";
    let mut rows = Rows::begin(tx, copy).await?;
    for (task, id) in tasks.iter().zip(ids) {
        for annotation in &task.annotations {
            rows.add(&[
                Value::Small(id, Type::INT8),
                Value::Small(&project_id, Type::INT8),
                Value::Json(annotation.result.unwrap_or("[]")),
                Value::Small(&annotation.was_cancelled, Type::BOOL),
                Value::Small(&annotation.ground_truth, Type::BOOL),
                Value::Small(&annotation.lead_time, Type::FLOAT8),
                Value::Small(&annotation.completed_by, Type::INT8),
            ])
            .await?;
        }
    }
    rows.finish().await
}

async fn copy_predictions(tx: &Transaction<'_>, project_id: i64, tasks: &[NewTask<'_>], ids: &[i64]) -> Result<()> {
    if tasks.iter().all(|task| task.predictions.is_empty()) {
        return Ok(());
    }
    let copy = "COPY predictions (task_id, project_id, result, score, model_version) FROM STDIN (FORMAT binary)";
    let mut rows = Rows::begin(tx, copy).await?;
    for (task, id) in tasks.iter().zip(ids) {
        for prediction in &task.predictions {
            rows.add(&[
                Value::Small(id, Type::INT8),
                Value::Small(&project_id, Type::INT8),
                Value::Json(prediction.result.unwrap_or("[]")),
                Value::Small(&prediction.score, Type::FLOAT8),
                Value::Text(prediction.model_version.unwrap_or_default()),
            ])
            .await?;
        }
    }
    rows.finish().await
}

/// A count for an `integer` column. The limits on items of an object are far below its maximum.
fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
