//! The `tasks` table of the native host, as the API reads it. Imports write it by `COPY`, see `host`. The JSON columns
//! are read by [`crate::printed`].
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

mod delete;
mod summary;
mod takes;
mod totals;
mod write;

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::{GenericClient, Result, Transaction};

pub use delete::{NextTasks, TaskRange, among, next_of_range};
pub(crate) use delete::{delete_all, ids_of_range, last_id, lock_all};
pub use summary::{MAX_MODEL_VERSION, MAX_SUMMARY_IDS, Summary, summaries};
pub use takes::{Takes, takes};
pub use totals::{Totals, totals};
pub(crate) use write::count_predictions;
pub use write::{insert, lock, update};

/// A task without its JSON columns: [`crate::printed`] reads those that fit into an answer.
#[derive(Debug, Clone)]
pub struct TaskRow {
    /// ID of the task.
    pub id: i64,
    /// ID of its project. Never changes.
    pub project_id: i64,
    /// The key it was imported from. `None` if no import made it, or its storage was removed. Written by import.
    pub storage_key: Option<String>,
    /// Number of annotations that were not cancelled. Written by import and by each change of an annotation.
    pub total_annotations: i32,
    /// Number of annotations that were cancelled. Written like `total_annotations`.
    pub cancelled_annotations: i32,
    /// Number of predictions. Written by import.
    pub total_predictions: i32,
    /// When it was created, by the database clock.
    pub created_at: Timestamp,
    /// When it or one of its annotations was last changed, by the database clock.
    pub updated_at: Timestamp,
    /// Bytes of `data` and `meta` as stored, after compression.
    pub stored_bytes: i64,
}

/// Where a page of tasks starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStart {
    /// After this many tasks. Postgres counts them, so a later page takes longer.
    Offset(i64),
    /// After the task with this ID. Every page takes the same time.
    After(i64),
}

const SELECT: &str = "SELECT t.id, t.project_id,
            CASE WHEN EXISTS (SELECT FROM storages s WHERE s.id = t.storage_id) THEN t.storage_key END AS storage_key,
            t.total_annotations, t.cancelled_annotations, t.total_predictions, t.created_at, t.updated_at,
            (pg_column_size(t.data) + pg_column_size(t.meta))::bigint AS stored_bytes";

/// The tasks of a project after an ID, in order: $1 project, $2 after.
///
/// The pairs match the index by project, so the planner has no other choice. With a condition on the project alone, and
/// a table that has grown since its last analyze, it expects too few rows and reads and sorts all of them.
const OF_PROJECT: &str = "(project_id, id) > ($1::bigint, $2::bigint) AND (project_id, id) <= ($1, 9223372036854775807) ORDER BY project_id, id";

fn read(row: &Row) -> TaskRow {
    TaskRow {
        id: row.get("id"),
        project_id: row.get("project_id"),
        storage_key: row.get("storage_key"),
        total_annotations: row.get("total_annotations"),
        cancelled_annotations: row.get("cancelled_annotations"),
        total_predictions: row.get("total_predictions"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
        stored_bytes: row.get("stored_bytes"),
    }
}

/// One task, or `None`.
pub async fn get(client: &impl GenericClient, id: i64) -> Result<Option<TaskRow>> {
    let row = client.query_opt(&format!("{SELECT} FROM tasks t WHERE t.id = $1"), &[&id]).await?;
    Ok(row.as_ref().map(read))
}

/// One page of a project's tasks, in the order of their IDs.
pub async fn page(client: &impl GenericClient, project: i64, from: PageStart, limit: i64) -> Result<Vec<TaskRow>> {
    // First the IDs, from the index alone, then the rows: rows before the page are never read.
    // No OFFSET for the first page: in a plan for all values, Postgres would expect it to skip a large part of the
    // table.
    let (after, offset, cut) = match from {
        PageStart::Offset(0) => (i64::MIN, None, "LIMIT $3"),
        PageStart::Offset(tasks) => (i64::MIN, Some(tasks), "LIMIT $3 OFFSET $4"),
        PageStart::After(id) => (id, None, "LIMIT $3"),
    };
    // `LIMIT 1` forces a look-up by key for each row, whatever the statistics are.
    let text = format!(
        "{SELECT} FROM unnest(ARRAY(SELECT id FROM tasks WHERE {OF_PROJECT} {cut})) AS page (id)
            CROSS JOIN LATERAL (SELECT * FROM tasks WHERE id = page.id LIMIT 1) t ORDER BY page.id"
    );
    let statement = client.prepare_cached(&text).await?;
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&project, &after, &limit];
    values.extend(offset.as_ref().map(|offset| offset as &(dyn ToSql + Sync)));
    let rows = client.query(&statement, &values).await?;
    Ok(rows.iter().map(read).collect())
}

/// Counts a task's annotations again, and sets `updated_at`, because the exported task has changed.
///
/// Locks the task's row first, so that parallel changes count one after the other.
pub(crate) async fn count_annotations(tx: &Transaction<'_>, task: i64) -> Result<()> {
    tx.execute("SELECT 1 FROM tasks WHERE id = $1 FOR UPDATE", &[&task]).await?;
    tx.execute(
        "UPDATE tasks t SET total_annotations = a.done, cancelled_annotations = a.cancelled, updated_at = now()
           FROM (SELECT count(*) FILTER (WHERE NOT was_cancelled)::int AS done,
                        count(*) FILTER (WHERE was_cancelled)::int AS cancelled
                   FROM annotations WHERE task_id = $1) a
          WHERE t.id = $1",
        &[&task],
    )
    .await?;
    Ok(())
}
