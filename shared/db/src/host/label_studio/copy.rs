//! Inserts tasks with their links, annotations and predictions, by binary `COPY`.
//!
//! Label Studio's tables have almost no defaults, so every column that must not be null is written. Its own sync writes
//! the same values, row by row.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value as Json;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::summary::Delta;
use super::tables::StorageTables;
use crate::host::rows::{Rows, Value};
use crate::host::{JobStorage, NewAnnotation, NewTask};
use crate::{Error, Result, Transaction};

/// What all rows of a page share.
pub(super) struct Page<'a> {
    pub(super) storage: &'a JobStorage,
    /// ID of the storage in Label Studio.
    pub(super) host_id: i32,
    pub(super) tables: &'a StorageTables,
    /// The `inner_id` of the first task.
    pub(super) first_inner_id: i64,
}

/// Inserts tasks, and returns their IDs in order.
pub(super) async fn insert(tx: &Transaction<'_>, page: &Page<'_>, tasks: &[NewTask<'_>]) -> Result<Vec<i64>> {
    let taken = "SELECT array_agg(nextval(pg_get_serial_sequence('public.task', 'id'))::int), now()
                   FROM generate_series(1, $1::int)";
    let statement = tx.prepare_cached(taken).await?;
    let row = tx.query_one(&statement, &[&i32::try_from(tasks.len()).unwrap_or(i32::MAX)]).await?;
    let (ids, now): (Vec<i32>, Timestamp) = (row.get(0), row.get(1));
    let project = i32::try_from(page.storage.project_id).map_err(|error| Error::unreadable("a project ID", error))?;
    let batch = Batch { page, tasks, ids: &ids, project, now };
    batch.copy_tasks(tx).await?;
    batch.copy_links(tx).await?;
    batch.copy_annotations(tx).await?;
    batch.copy_predictions(tx).await?;
    batch.add_delta(tx).await?;
    batch.check_references(tx).await?;
    Ok(ids.into_iter().map(i64::from).collect())
}

/// Tasks to insert, with what their rows share.
struct Batch<'a> {
    page: &'a Page<'a>,
    tasks: &'a [NewTask<'a>],
    ids: &'a [i32],
    project: i32,
    now: Timestamp,
}

impl Batch<'_> {
    async fn copy_tasks(&self, tx: &Transaction<'_>) -> Result<()> {
        let copy =
            "COPY public.task (id, data, meta, created_at, updated_at, is_labeled, project_id, overlap, updated_by_id,
                           inner_id, total_annotations, cancelled_annotations, total_predictions, comment_count,
                           unresolved_comment_count, allow_skip)
                    FROM STDIN (FORMAT binary)";
        let rules = self.page.storage.rules;
        let mut rows = Rows::begin(tx, copy).await?;
        for ((task, id), inner_id) in self.tasks.iter().zip(self.ids).zip(self.page.first_inner_id..) {
            let cancelled = task.annotations.iter().filter(|annotation| annotation.was_cancelled).count();
            let has_labels = !(task.annotations.is_empty() && task.predictions.is_empty());
            let user = rules.user_id.filter(|_| has_labels);
            rows.add(&[
                Value::Small(id, Type::INT4),
                Value::Json(task.data),
                Value::Json("{}"),
                Value::Small(&self.now, Type::TIMESTAMPTZ),
                Value::Small(&self.now, Type::TIMESTAMPTZ),
                Value::Small(&self.is_labeled(task), Type::BOOL),
                Value::Small(&self.project, Type::INT4),
                Value::Small(&rules.overlap, Type::INT4),
                Value::Small(&user, Type::INT4),
                Value::Small(&inner_id, Type::INT8),
                Value::Small(&count(task.annotations.len() - cancelled), Type::INT4),
                Value::Small(&count(cancelled), Type::INT4),
                Value::Small(&count(task.predictions.len()), Type::INT4),
                Value::Small(&0_i32, Type::INT4),
                Value::Small(&0_i32, Type::INT4),
                Value::Small(&true, Type::BOOL),
            ])
            .await?;
        }
        rows.finish().await
    }

    /// Whether enough users annotated the task. A missing user counts as one.
    fn is_labeled(&self, task: &NewTask<'_>) -> bool {
        let rules = self.page.storage.rules;
        let counts = |annotation: &&NewAnnotation<'_>| rules.counts_skipped || !annotation.was_cancelled;
        let users: BTreeSet<Option<i64>> =
            task.annotations.iter().filter(counts).map(|annotation| annotation.completed_by).collect();
        !users.is_empty() && count(users.len()) >= rules.overlap
    }

    async fn copy_links(&self, tx: &Transaction<'_>) -> Result<()> {
        let copy = format!(
            "COPY public.{} (task_id, key, object_exists, created_at, storage_id, row_index) FROM STDIN (FORMAT binary)",
            self.page.tables.links
        );
        let mut rows = Rows::begin(tx, &copy).await?;
        for (task, id) in self.tasks.iter().zip(self.ids) {
            rows.add(&[
                Value::Small(id, Type::INT4),
                Value::Small(&task.key, Type::TEXT),
                Value::Small(&true, Type::BOOL),
                Value::Small(&self.now, Type::TIMESTAMPTZ),
                Value::Small(&self.page.host_id, Type::INT4),
                Value::Small(&task.row_index, Type::INT4),
            ])
            .await?;
        }
        rows.finish().await
    }

    async fn copy_annotations(&self, tx: &Transaction<'_>) -> Result<()> {
        if self.tasks.iter().all(|task| task.annotations.is_empty()) {
            return Ok(());
        }
        let copy = "COPY public.task_completion (result, was_cancelled, ground_truth, created_at, updated_at, task_id,
                           prediction, lead_time, result_count, completed_by_id, project_id, updated_by_id, unique_id,
                           bulk_created)
                    FROM STDIN (FORMAT binary)";
        let mut rows = Rows::begin(tx, copy).await?;
        for (task, id) in self.tasks.iter().zip(self.ids) {
            for annotation in &task.annotations {
                let user = annotation.completed_by.map(i32::try_from).transpose();
                let user = user.map_err(|error| Error::unreadable("the ID of a user", error))?;
                rows.add(&[
                    Value::Json(annotation.result),
                    Value::Small(&annotation.was_cancelled, Type::BOOL),
                    Value::Small(&annotation.ground_truth, Type::BOOL),
                    Value::Small(&self.now, Type::TIMESTAMPTZ),
                    Value::Small(&self.now, Type::TIMESTAMPTZ),
                    Value::Small(id, Type::INT4),
                    Value::Json("{}"),
                    Value::Small(&annotation.lead_time, Type::FLOAT8),
                    Value::Small(&region_count(annotation.result), Type::INT4),
                    Value::Small(&user, Type::INT4),
                    Value::Small(&self.project, Type::INT4),
                    Value::Small(&self.page.storage.rules.user_id, Type::INT4),
                    Value::Small(&Uuid::new_v4(), Type::UUID),
                    Value::Small(&false, Type::BOOL),
                ])
                .await?;
            }
        }
        rows.finish().await
    }

    async fn copy_predictions(&self, tx: &Transaction<'_>) -> Result<()> {
        if self.tasks.iter().all(|task| task.predictions.is_empty()) {
            return Ok(());
        }
        let copy = "COPY public.prediction (result, score, model_version, created_at, updated_at, task_id, mislabeling,
                           project_id)
                    FROM STDIN (FORMAT binary)";
        let mut rows = Rows::begin(tx, copy).await?;
        for (task, id) in self.tasks.iter().zip(self.ids) {
            for prediction in &task.predictions {
                rows.add(&[
                    Value::Json(prediction.result),
                    Value::Small(&prediction.score, Type::FLOAT8),
                    Value::Text(prediction.model_version.unwrap_or_default()),
                    Value::Small(&self.now, Type::TIMESTAMPTZ),
                    Value::Small(&self.now, Type::TIMESTAMPTZ),
                    Value::Small(id, Type::INT4),
                    Value::Small(&0_f64, Type::FLOAT8),
                    Value::Small(&self.project, Type::INT4),
                ])
                .await?;
            }
        }
        rows.finish().await
    }

    /// Checks foreign keys now. Label Studio defers them to the commit, where a failure would name no object.
    async fn check_references(&self, tx: &Transaction<'_>) -> Result<()> {
        if self.tasks.iter().all(|task| task.annotations.is_empty()) {
            return Ok(());
        }
        tx.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await.map_err(|error| {
            // Users and parents come from the file. Projects and storages do not: they were deleted meanwhile.
            let is_of_file = error.as_db_error().is_some_and(|refused| refused.table() == Some("task_completion"));
            if is_of_file { Error::RefusedByHost(error) } else { error.into() }
        })
    }

    /// Records what the tasks add to the summary of their project.
    async fn add_delta(&self, tx: &Transaction<'_>) -> Result<()> {
        let mut delta = Delta::default();
        for task in self.tasks {
            delta.add_task(task.data).map_err(|error| Error::unreadable("the data of a task", error))?;
            task.annotations.iter().for_each(|annotation| delta.add_annotation(annotation.result));
        }
        let statement = tx.prepare_cached("INSERT INTO host_deltas (project_id, delta) VALUES ($1, $2)").await?;
        tx.execute(&statement, &[&self.page.storage.project_id, &delta.to_json()?]).await?;
        Ok(())
    }
}

/// The number of distinct regions of a result, as Label Studio counts them: by their IDs, of which a missing one counts
/// as one.
fn region_count(result: &str) -> i32 {
    #[derive(Deserialize)]
    struct Region {
        id: Option<Json>,
    }
    let regions: Vec<Region> = serde_json::from_str(result).unwrap_or_default();
    let ids: BTreeSet<String> =
        regions.into_iter().map(|region| region.id.map(|id| id.to_string()).unwrap_or_default()).collect();
    count(ids.len())
}

/// A count for an `integer` column. The limits on items of an object are far below its maximum.
fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
