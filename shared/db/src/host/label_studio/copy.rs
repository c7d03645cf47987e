//! Inserts tasks with their links, annotations and predictions, by binary `COPY`.
//!
//! Label Studio's tables have almost no defaults, so every column that must not be null is written. Its own sync writes
//! the same values, row by row.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::catalog::Catalog;
use super::created;
use super::tables::StorageTables;
use crate::host::rows::{Rows, Value};
use crate::host::{AnnotationDetails, JobStorage, NewAnnotation, NewPrediction, NewTask};
use crate::{Error, RawJson, Result, Transaction};

/// What all rows of a page share.
pub(super) struct Page<'a> {
    pub(super) storage: &'a JobStorage,
    /// ID of the storage in Label Studio.
    pub(super) host_id: i32,
    pub(super) tables: &'a StorageTables,
    /// The `inner_id` of the first task.
    pub(super) first_inner_id: i64,
    pub(super) catalog: Catalog,
}

/// Inserts tasks, and returns their IDs in order.
pub(super) async fn insert(tx: &Transaction<'_>, page: &Page<'_>, tasks: &[NewTask<'_>]) -> Result<Vec<i64>> {
    let taken = "SELECT array_agg(nextval(pg_get_serial_sequence('public.task', 'id'))), now()
                   FROM generate_series(1, $1::int)";
    let statement = tx.prepare_cached(taken).await?;
    let count = i32::try_from(tasks.len()).unwrap_or(i32::MAX);
    let row = tx.query_one(&statement, &[&count]).await.map_err(|error| full_or("task", error.into()))?;
    let (ids, now): (Vec<i64>, Timestamp) = (row.get(0), row.get(1));
    let ids: std::result::Result<Vec<i32>, _> = ids.into_iter().map(i32::try_from).collect();
    let ids = ids.map_err(|_| Error::HostFull("task"))?;
    let project = i32::try_from(page.storage.project_id).map_err(|error| Error::unreadable("a project ID", error))?;
    let batch = Batch { page, tasks, ids: &ids, project, now };
    batch.copy_tasks(tx).await?;
    batch.copy_links(tx).await?;
    batch.copy_annotations(tx).await?;
    batch.copy_predictions(tx).await?;
    let annotations = tasks.iter().map(|task| task.annotations.len()).sum();
    created::record(tx, page.storage.id, page.storage.project_id, &ids, annotations).await?;
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
        let catalog = self.page.catalog;
        let copy = format!(
            "COPY public.task (id, data, meta, created_at, updated_at, is_labeled, project_id, overlap, updated_by_id,
                               inner_id, total_annotations, cancelled_annotations, total_predictions, comment_count,
                               unresolved_comment_count{})
             FROM STDIN (FORMAT binary)",
            if catalog.has_allow_skip { ", allow_skip" } else { "" }
        );
        let rules = self.page.storage.rules;
        let mut rows = Rows::begin(tx, &copy).await?;
        for ((task, id), inner_id) in self.tasks.iter().zip(self.ids).zip(self.page.first_inner_id..) {
            let cancelled = task.annotations.iter().filter(|annotation| annotation.was_cancelled).count();
            let has_labels = !(task.annotations.is_empty() && task.predictions.is_empty());
            let user = rules.user_id.filter(|_| has_labels);
            let allow_skip = if catalog.keeps_null_skip { task.allow_skip } else { task.allow_skip.or(Some(true)) };
            let values = [
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
                Value::Small(&allow_skip, Type::BOOL),
            ];
            let filled = values.len() - usize::from(!catalog.has_allow_skip);
            rows.add(&values[..filled]).await?;
        }
        rows.finish().await
    }

    /// Whether enough users annotated the task. A missing user counts as one. Annotations without a result do not count,
    /// except where skipped ones do.
    fn is_labeled(&self, task: &NewTask<'_>) -> bool {
        let rules = self.page.storage.rules;
        let is_finished = |annotation: &NewAnnotation<'_>| !annotation.was_cancelled && annotation.result.is_some();
        let counts = |annotation: &&NewAnnotation<'_>| rules.counts_skipped || is_finished(annotation);
        let users: BTreeSet<Option<i64>> =
            task.annotations.iter().filter(counts).map(|annotation| annotation.completed_by).collect();
        count(users.len()) >= rules.overlap
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
                           bulk_created, import_id, last_action, last_created_by_id, draft_created_at,
                           parent_prediction_id, parent_annotation_id)
                    FROM STDIN (FORMAT binary)";
        let mut rows = Rows::begin(tx, copy).await?;
        let none = AnnotationDetails::default();
        for (task, id) in self.tasks.iter().zip(self.ids) {
            for annotation in &task.annotations {
                let user = annotation.completed_by.map(i32::try_from).transpose();
                let user = user.map_err(|error| Error::unreadable("the ID of a user", error))?;
                let details = annotation.details.unwrap_or(&none);
                rows.add(&[
                    annotation.result.map_or(Value::Small(&None::<String>, Type::TEXT), Value::Json),
                    Value::Small(&annotation.was_cancelled, Type::BOOL),
                    Value::Small(&annotation.ground_truth, Type::BOOL),
                    Value::Small(&self.now, Type::TIMESTAMPTZ),
                    Value::Small(&self.now, Type::TIMESTAMPTZ),
                    Value::Small(id, Type::INT4),
                    Value::Json("{}"),
                    Value::Small(&annotation.lead_time, Type::FLOAT8),
                    Value::Small(&details.result_count, Type::INT4),
                    Value::Small(&user, Type::INT4),
                    Value::Small(&self.project, Type::INT4),
                    Value::Small(&self.page.storage.rules.user_id, Type::INT4),
                    Value::Small(&details.unique_id.unwrap_or_else(Uuid::new_v4), Type::UUID),
                    Value::Small(&details.bulk_created, Type::BOOL),
                    Value::Small(&details.import_id, Type::INT8),
                    Value::Small(&details.last_action, Type::VARCHAR),
                    Value::Small(&details.last_created_by, Type::INT4),
                    Value::Small(&details.draft_created_at, Type::TIMESTAMPTZ),
                    Value::Small(&details.parent_prediction, Type::INT4),
                    Value::Small(&details.parent_annotation, Type::INT4),
                ])
                .await?;
            }
        }
        rows.finish().await.map_err(|error| refused_or(full_or("task_completion", error)))
    }

    async fn copy_predictions(&self, tx: &Transaction<'_>) -> Result<()> {
        if self.tasks.iter().all(|task| task.predictions.is_empty()) {
            return Ok(());
        }
        let copy = "COPY public.prediction (result, score, model_version, created_at, updated_at, task_id, mislabeling,
                           project_id, cluster, neighbors, model_id, model_run_id)
                    FROM STDIN (FORMAT binary)";
        let mut rows = Rows::begin(tx, copy).await?;
        let null = || Value::Small(&None::<String>, Type::TEXT);
        for (task, id) in self.tasks.iter().zip(self.ids) {
            for prediction in &task.predictions {
                rows.add(&[
                    prediction.result.map_or_else(null, Value::Json),
                    Value::Small(&prediction.score, Type::FLOAT8),
                    Value::Text(prediction.model_version.unwrap_or_default()),
                    Value::Small(&self.now, Type::TIMESTAMPTZ),
                    Value::Small(&self.now, Type::TIMESTAMPTZ),
                    Value::Small(id, Type::INT4),
                    Value::Small(&prediction.mislabeling, Type::FLOAT8),
                    Value::Small(&self.project, Type::INT4),
                    Value::Small(&prediction.cluster, Type::INT4),
                    prediction.neighbors.map_or_else(null, Value::Json),
                    Value::Small(&prediction.model, Type::INT4),
                    Value::Small(&prediction.model_run, Type::INT4),
                ])
                .await?;
            }
        }
        rows.finish().await.map_err(|error| full_or("prediction", error))
    }

    /// Checks foreign keys now. Label Studio defers them to the commit, where a failure would name no object.
    async fn check_references(&self, tx: &Transaction<'_>) -> Result<()> {
        let names_rows = |task: &NewTask<'_>| {
            let is_made = |prediction: &NewPrediction<'_>| prediction.model.or(prediction.model_run).is_some();
            !task.annotations.is_empty() || task.predictions.iter().any(is_made)
        };
        if !self.tasks.iter().any(names_rows) {
            return Ok(());
        }
        tx.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await.map_err(|error| refused_or(error.into()))
    }
}

/// Records what the tasks of a page add to the summary of their project.
pub(super) async fn add_summary(tx: &Transaction<'_>, project_id: i64, delta: &str) -> Result<()> {
    let statement = tx.prepare_cached("INSERT INTO host_deltas (project_id, delta) VALUES ($1, $2)").await?;
    tx.execute(&statement, &[&project_id, &RawJson(delta)]).await?;
    Ok(())
}

/// The columns of `task_completion` and `prediction` that come from the file and refer to other rows. Those that refer to
/// projects, tasks and the user who asked do not.
const FROM_FILE: [&str; 7] = [
    "task_completion_completed_by_id_",
    "task_completion_last_created_by_id_",
    "task_completion_parent_prediction_id_",
    "task_completion_parent_annotation_id_",
    "task_completion_unique_id_",
    "prediction_model_id_",
    "prediction_model_run_id_",
];

/// Marks an error as the fault of an object if a value in its file caused it.
fn refused_or(error: Error) -> Error {
    match error {
        Error::Postgres(refused) if is_of_file(&refused) => Error::RefusedByHost(refused),
        error => error,
    }
}

fn is_of_file(error: &tokio_postgres::Error) -> bool {
    let constraint = error.as_db_error().and_then(|refused| refused.constraint());
    matches!(error.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION | &SqlState::UNIQUE_VIOLATION))
        && constraint.is_some_and(|name| FROM_FILE.iter().any(|column| name.starts_with(column)))
}

/// Names the table if its sequence of IDs has ended.
fn full_or(table: &'static str, error: Error) -> Error {
    if error.sql_state() == Some(&SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED) { Error::HostFull(table) } else { error }
}

/// A count for an `integer` column. The limits on items of an object are far below its maximum.
fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
