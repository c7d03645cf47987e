//! Inserting tasks with their annotations and predictions, by binary `COPY`.

use futures::pin_mut;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use crate::host::{JobStorage, NewTask};
use crate::{RawJson, Result, Transaction};

/// Inserts tasks with what came with them, and returns the tasks' ids in order.
pub(super) async fn insert(tx: &Transaction<'_>, storage: &JobStorage, tasks: &[NewTask<'_>]) -> Result<Vec<i64>> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let ids = reserve_ids(tx, tasks.len()).await?;
    copy_tasks(tx, storage, tasks, &ids).await?;
    copy_annotations(tx, storage.project_id, tasks, &ids).await?;
    copy_predictions(tx, storage.project_id, tasks, &ids).await?;
    Ok(ids)
}

/// Takes ids from the sequence beforehand, so that the ledger can be copied with them.
async fn reserve_ids(tx: &Transaction<'_>, count: usize) -> Result<Vec<i64>> {
    // One by one, as hosts take ids of their own meanwhile; as one list, as rows would cost more than the ids.
    let take = "SELECT array_agg(nextval('tasks_id_seq')) FROM generate_series(1, $1::int)";
    let statement = tx.prepare_cached(take).await?;
    Ok(tx.query_one(&statement, &[&i32::try_from(count).unwrap_or(i32::MAX)]).await?.get(0))
}

async fn copy_tasks(tx: &Transaction<'_>, storage: &JobStorage, tasks: &[NewTask<'_>], ids: &[i64]) -> Result<()> {
    let copy = tx
        .prepare_cached(
            "COPY tasks (id, project_id, data, meta, storage_id, storage_key,
                         total_annotations, cancelled_annotations, total_predictions)
             FROM STDIN (FORMAT binary)",
        )
        .await?;
    let sink = tx.copy_in(&copy).await?;
    let types =
        [Type::INT8, Type::INT8, Type::JSONB, Type::JSONB, Type::INT8, Type::TEXT, Type::INT4, Type::INT4, Type::INT4];
    let writer = BinaryCopyInWriter::new(sink, &types);
    pin_mut!(writer);
    for (task, id) in tasks.iter().zip(ids) {
        let cancelled = task.annotations.iter().filter(|annotation| annotation.was_cancelled).count();
        let total = task.annotations.len() - cancelled;
        writer
            .as_mut()
            .write(&[
                id,
                &storage.project_id,
                &RawJson(task.data),
                &RawJson(task.meta.unwrap_or("{}")),
                &storage.id,
                &task.key,
                &count(total),
                &count(cancelled),
                &count(task.predictions.len()),
            ])
            .await?;
    }
    writer.finish().await?;
    Ok(())
}

async fn copy_annotations(tx: &Transaction<'_>, project_id: i64, tasks: &[NewTask<'_>], ids: &[i64]) -> Result<()> {
    if tasks.iter().all(|task| task.annotations.is_empty()) {
        return Ok(());
    }
    let copy = tx
        .prepare_cached(
            "COPY annotations (task_id, project_id, result, was_cancelled, ground_truth, lead_time, completed_by)
             FROM STDIN (FORMAT binary)",
        )
        .await?;
    let sink = tx.copy_in(&copy).await?;
    let types = [Type::INT8, Type::INT8, Type::JSONB, Type::BOOL, Type::BOOL, Type::FLOAT8, Type::INT8];
    let writer = BinaryCopyInWriter::new(sink, &types);
    pin_mut!(writer);
    for (task, id) in tasks.iter().zip(ids) {
        for annotation in &task.annotations {
            writer
                .as_mut()
                .write(&[
                    id,
                    &project_id,
                    &RawJson(annotation.result),
                    &annotation.was_cancelled,
                    &annotation.ground_truth,
                    &annotation.lead_time,
                    &annotation.completed_by,
                ])
                .await?;
        }
    }
    writer.finish().await?;
    Ok(())
}

async fn copy_predictions(tx: &Transaction<'_>, project_id: i64, tasks: &[NewTask<'_>], ids: &[i64]) -> Result<()> {
    if tasks.iter().all(|task| task.predictions.is_empty()) {
        return Ok(());
    }
    let copy = tx
        .prepare_cached(
            "COPY predictions (task_id, project_id, result, score, model_version) FROM STDIN (FORMAT binary)",
        )
        .await?;
    let sink = tx.copy_in(&copy).await?;
    let types = [Type::INT8, Type::INT8, Type::JSONB, Type::FLOAT8, Type::TEXT];
    let writer = BinaryCopyInWriter::new(sink, &types);
    pin_mut!(writer);
    for (task, id) in tasks.iter().zip(ids) {
        for prediction in &task.predictions {
            writer
                .as_mut()
                .write(&[
                    id,
                    &project_id,
                    &RawJson(prediction.result),
                    &prediction.score,
                    &prediction.model_version.unwrap_or_default(),
                ])
                .await?;
        }
    }
    writer.finish().await?;
    Ok(())
}

/// A count for an `integer` column; an object's items are capped far below its limit.
fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
