//! The native host: Longshore's own `projects`, `tasks`, `annotations` and `predictions`.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::pin_mut;
use longshore_model::{Direction, ExportMode, Secrets, SyncStatus};
use serde_json::json;
use serde_json::value::RawValue;
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use crate::host::{AnnotationRow, Host, JobStorage, NewTask, Selection, TaskRow, Unit};
use crate::syncs::SyncRow;
use crate::{Client, Error, RawJson, Result, Sealed, Sealer, Transaction};

/// Longshore's own tables as the host.
#[derive(Debug, Clone)]
pub struct Native {
    sealer: Sealer,
}

impl Native {
    /// A host whose storages' secrets this sealer opens.
    pub fn new(sealer: Sealer) -> Self {
        Self { sealer }
    }
}

#[async_trait]
impl Host for Native {
    async fn storage(&self, client: &Client, storage_id: i64) -> Result<JobStorage> {
        let row = client
            .query_opt(
                "SELECT s.project_id, s.settings::text AS settings, s.secrets, s.secrets_key_id, p.label_config
                   FROM storages s JOIN projects p ON p.id = s.project_id WHERE s.id = $1",
                &[&storage_id],
            )
            .await?
            .ok_or_else(|| Error::NotFound(format!("storage {storage_id}")))?;
        let settings: longshore_model::StorageSettings =
            serde_json::from_str(row.get("settings")).map_err(|error| Error::unreadable("storages.settings", error))?;
        let secrets = match (row.get::<_, Option<Vec<u8>>>("secrets"), row.get::<_, Option<String>>("secrets_key_id")) {
            (Some(bytes), Some(key_id)) => {
                let opened = self.sealer.open(&format!("storage:{storage_id}"), &Sealed { key_id, bytes })?;
                Secrets::read(settings.kind(), &opened).map_err(|error| Error::unreadable("storages.secrets", error))?
            }
            _ => Secrets::none(settings.kind()),
        };
        Ok(JobStorage {
            id: storage_id,
            project_id: row.get("project_id"),
            settings,
            secrets,
            label_config: row.get("label_config"),
        })
    }

    async fn insert_tasks(
        &self,
        tx: &Transaction<'_>,
        storage: &JobStorage,
        tasks: &[NewTask<'_>],
    ) -> Result<Vec<i64>> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let ids = reserve_ids(tx, tasks.len()).await?;
        copy_tasks(tx, storage, tasks, &ids).await?;
        copy_annotations(tx, storage.project_id, tasks, &ids).await?;
        copy_predictions(tx, storage.project_id, tasks, &ids).await?;
        Ok(ids)
    }

    async fn show_status(&self, tx: &Transaction<'_>, sync: &SyncRow) -> Result<()> {
        let counts = &sync.counts;
        let (moved, progress) = match sync.direction {
            Direction::Import => (counts.created, json!({ "tasks_existed": counts.existed })),
            Direction::Export => {
                let total = counts.exported + counts.unchanged;
                (total, json!({ "total_annotations": total }))
            }
        };
        let failed = sync.status == SyncStatus::Failed;
        let times = json!({
            "time_in_progress": sync.started_at.map(host_time),
            "time_last_ping": sync.finished_at.is_none().then(|| host_time(Utc::now())),
            "time_completed": sync.finished_at.filter(|_| !failed).map(host_time),
            "time_failure": sync.finished_at.filter(|_| failed).map(host_time),
            "duration": sync.started_at.map(|start| (sync.finished_at.unwrap_or_else(Utc::now) - start).as_seconds_f64()),
            "tasks_failed_validation": (counts.quarantined > 0).then_some(counts.quarantined),
        });
        let trouble = match sync.status {
            SyncStatus::Failed => sync.detail.clone(),
            SyncStatus::CompletedWithErrors => Some(format!(
                "{} set aside in this sync, {} still set aside from earlier ones: see /api/quarantine?storage={}",
                counts.quarantined, counts.still_quarantined, sync.storage_id
            )),
            SyncStatus::Initialized
            | SyncStatus::Queued
            | SyncStatus::InProgress
            | SyncStatus::Completed
            | SyncStatus::Cancelled => None,
        };
        let statement = tx
            .prepare_cached(
                "UPDATE storages
                    SET status = $2, last_sync_count = $3, traceback = $4, last_sync_job = $5::bigint::text,
                        last_sync = CASE WHEN $2 IN ('completed', 'completed_with_errors') THEN $6 ELSE last_sync END,
                        meta = jsonb_strip_nulls(meta || $7 || $8)
                  WHERE id = $1",
            )
            .await?;
        tx.execute(
            &statement,
            &[
                &sync.storage_id,
                &sync.status.as_str(),
                &moved,
                &trouble,
                &sync.id,
                &sync.finished_at,
                &progress,
                &times,
            ],
        )
        .await?;
        Ok(())
    }

    async fn last_unit_id(&self, client: &Client, project_id: i64, per_task: bool) -> Result<i64> {
        let table = if per_task { "tasks" } else { "annotations" };
        let statement = format!("SELECT coalesce(max(id), 0) FROM {table} WHERE project_id = $1");
        Ok(client.query_one(&statement, &[&project_id]).await?.get(0))
    }

    async fn annotations(&self, client: &Client, selection: &Selection<'_>) -> Result<Vec<Unit>> {
        let rows = select(client, include_str!("annotations_to_export.sql"), selection).await?;
        rows.iter().map(|row| Ok(Unit { task: read_task(row)?, annotations: vec![read_annotation(row)?] })).collect()
    }

    async fn annotated_tasks(&self, client: &Client, selection: &Selection<'_>) -> Result<Vec<Unit>> {
        let rows = select(client, include_str!("tasks_to_export.sql"), selection).await?;
        let mut units: Vec<Unit> = Vec::new();
        for row in &rows {
            let annotation = read_annotation(row)?;
            match units.last_mut() {
                Some(unit) if unit.task.id == annotation.task_id => unit.annotations.push(annotation),
                _ => units.push(Unit { task: read_task(row)?, annotations: vec![annotation] }),
            }
        }
        Ok(units)
    }
}

/// A time as Label Studio spells it in `meta`: with a space and an offset.
fn host_time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string()
}

/// Runs one of the statements that choose what to export: they take the same parameters.
async fn select(client: &Client, statement: &str, selection: &Selection<'_>) -> Result<Vec<Row>> {
    let statement = client.prepare_cached(statement).await?;
    let all = selection.options.mode == ExportMode::All;
    let rows = client
        .query(
            &statement,
            &[
                &selection.project_id,
                &selection.storage_id,
                &selection.sync_id,
                &all,
                &selection.options.tasks,
                &selection.after,
                &selection.until,
                &selection.limit,
            ],
        )
        .await?;
    Ok(rows)
}

/// Takes ids from the sequence beforehand, so that the ledger can be copied with them.
async fn reserve_ids(tx: &Transaction<'_>, count: usize) -> Result<Vec<i64>> {
    let statement = tx.prepare_cached("SELECT nextval('tasks_id_seq') FROM generate_series(1, $1::int)").await?;
    let rows = tx.query(&statement, &[&i32::try_from(count).unwrap_or(i32::MAX)]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
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

fn read_task(row: &Row) -> Result<TaskRow> {
    Ok(TaskRow {
        id: row.get("task_id"),
        project_id: row.get("project_id"),
        data: json(row, "task_data")?,
        meta: json(row, "task_meta")?,
        total_annotations: row.get("total_annotations"),
        cancelled_annotations: row.get("cancelled_annotations"),
        total_predictions: row.get("total_predictions"),
        created_at: row.get("task_created_at"),
        updated_at: row.get("task_updated_at"),
    })
}

fn read_annotation(row: &Row) -> Result<AnnotationRow> {
    Ok(AnnotationRow {
        id: row.get("id"),
        task_id: row.get("task_id"),
        project_id: row.get("project_id"),
        result: json(row, "result")?,
        was_cancelled: row.get("was_cancelled"),
        ground_truth: row.get("ground_truth"),
        lead_time: row.get("lead_time"),
        completed_by: row.get("completed_by"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}

fn json(row: &Row, column: &'static str) -> Result<Box<RawValue>> {
    let RawJson(text) = row.try_get::<_, RawJson<&str>>(column).map_err(|error| Error::unreadable(column, error))?;
    RawValue::from_string(text.to_owned()).map_err(|error| Error::unreadable(column, error))
}
