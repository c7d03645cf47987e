//! The `annotations` table of the native host. Each change also updates the counts of its task.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use jiff::Timestamp;
use tokio_postgres::Row;

use crate::{Error, GenericClient, RawJson, Result, Transaction, tasks};

/// An annotation without its result: [`crate::printed`] reads results that fit into an answer.
#[derive(Debug, Clone)]
pub struct AnnotationRow {
    /// ID of the annotation.
    pub id: i64,
    /// ID of its task.
    pub task_id: i64,
    /// ID of the task's project.
    pub project_id: i64,
    /// Whether the annotator skipped the task. Written by users and import.
    pub was_cancelled: bool,
    /// Whether it is ground truth: other annotations are compared with it. Written by users and import.
    pub ground_truth: bool,
    /// Time to make it, in seconds. `None` if unknown. Written by users and import.
    pub lead_time: Option<f64>,
    /// ID of the user who made it. `None` if unknown. Written by users and import.
    pub completed_by: Option<i64>,
    /// When it was created, by the database clock.
    pub created_at: Timestamp,
    /// When it was last changed, by the database clock. Export compares it with the time of its last write.
    pub updated_at: Timestamp,
    /// Bytes of `result` as stored, after compression.
    pub stored_bytes: i64,
}

/// The part of an annotation that users write.
#[derive(Debug, Clone)]
pub struct AnnotationValues<'a> {
    /// JSON text. `None` is an empty list in a new annotation, and no change in an existing one.
    pub result: Option<&'a str>,
    /// Whether the annotator skipped the task.
    pub was_cancelled: bool,
    /// Whether it is ground truth: other annotations are compared with it.
    pub ground_truth: bool,
    /// Time to make it, in seconds. `None` if unknown.
    pub lead_time: Option<f64>,
    /// ID of the user who made it. `None` if unknown.
    pub completed_by: Option<i64>,
}

const COLUMNS: &str = "id, task_id, project_id, was_cancelled, ground_truth, lead_time, completed_by, created_at,
     updated_at, pg_column_size(result)::bigint AS stored_bytes";

fn read(row: &Row) -> AnnotationRow {
    AnnotationRow {
        id: row.get("id"),
        task_id: row.get("task_id"),
        project_id: row.get("project_id"),
        was_cancelled: row.get("was_cancelled"),
        ground_truth: row.get("ground_truth"),
        lead_time: row.get("lead_time"),
        completed_by: row.get("completed_by"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
        stored_bytes: row.get("stored_bytes"),
    }
}

/// Adds an annotation to a task.
///
/// # Errors
/// [`Error::NotFound`] if the task does not exist.
pub async fn insert(tx: &Transaction<'_>, task: i64, values: &AnnotationValues<'_>) -> Result<AnnotationRow> {
    let row = tx
        .query_opt(
            &format!(
                "INSERT INTO annotations (task_id, project_id, result, was_cancelled, ground_truth, lead_time,
                                          completed_by)
                 SELECT id, project_id, coalesce($2::jsonb, '[]'), $3, $4, $5, $6 FROM tasks WHERE id = $1 FOR UPDATE
                 RETURNING {COLUMNS}"
            ),
            &[
                &task,
                &values.result.map(RawJson),
                &values.was_cancelled,
                &values.ground_truth,
                &values.lead_time,
                &values.completed_by,
            ],
        )
        .await?
        .ok_or_else(|| Error::NotFound(format!("task {task}")))?;
    tasks::count_annotations(tx, task).await?;
    Ok(read(&row))
}

/// One annotation, locked until the transaction ends, or `None` if it does not exist.
pub async fn lock(tx: &Transaction<'_>, id: i64) -> Result<Option<AnnotationRow>> {
    let row = tx.query_opt(&format!("SELECT {COLUMNS} FROM annotations WHERE id = $1 FOR UPDATE"), &[&id]).await?;
    Ok(row.as_ref().map(read))
}

/// One annotation, or `None` if it does not exist.
pub async fn get(client: &impl GenericClient, id: i64) -> Result<Option<AnnotationRow>> {
    let row = client.query_opt(&format!("SELECT {COLUMNS} FROM annotations WHERE id = $1"), &[&id]).await?;
    Ok(row.as_ref().map(read))
}

/// At most `limit` annotations of these tasks after the ID `after`, task by task and by ID.
///
/// `OFFSET 0` forces a look-up per task. With `ANY` of a hundred tasks, Postgres may read a whole table that has grown
/// since its last analyze.
pub async fn of_tasks(
    client: &impl GenericClient,
    tasks: &[i64],
    after: i64,
    limit: i64,
) -> Result<Vec<AnnotationRow>> {
    let statement = client
        .prepare_cached(&format!(
            "SELECT found.* FROM unnest($1::bigint[]) wanted (id)
              CROSS JOIN LATERAL (
                  SELECT {COLUMNS} FROM (SELECT * FROM annotations WHERE task_id = wanted.id OFFSET 0) a
                   WHERE id > $2 ORDER BY id LIMIT $3) found
              LIMIT $3"
        ))
        .await?;
    let rows = client.query(&statement, &[&tasks, &after, &limit]).await?;
    Ok(rows.iter().map(read).collect())
}

/// Changes an annotation.
///
/// # Errors
/// [`Error::NotFound`] if the annotation does not exist.
pub async fn update(tx: &Transaction<'_>, id: i64, values: &AnnotationValues<'_>) -> Result<AnnotationRow> {
    let row = tx
        .query_opt(
            &format!(
                "UPDATE annotations
                    SET result = coalesce($2::jsonb, result), was_cancelled = $3, ground_truth = $4, lead_time = $5, completed_by = $6,
                        updated_at = now()
                  WHERE id = $1 RETURNING {COLUMNS}"
            ),
            &[
                &id,
                &values.result.map(RawJson),
                &values.was_cancelled,
                &values.ground_truth,
                &values.lead_time,
                &values.completed_by,
            ],
        )
        .await?;
    let annotation = row.as_ref().map(read).ok_or_else(|| Error::NotFound(format!("annotation {id}")))?;
    tasks::count_annotations(tx, annotation.task_id).await?;
    Ok(annotation)
}

/// Deletes an annotation and returns its row, or `None` if it does not exist.
pub async fn delete(tx: &Transaction<'_>, id: i64) -> Result<Option<AnnotationRow>> {
    let row = tx.query_opt(&format!("DELETE FROM annotations WHERE id = $1 RETURNING {COLUMNS}"), &[&id]).await?;
    let Some(annotation) = row.as_ref().map(read) else { return Ok(None) };
    tasks::count_annotations(tx, annotation.task_id).await?;
    Ok(Some(annotation))
}

/// The annotations of tasks, as an array of IDs: $1 tasks. `OFFSET 0` forces a look-up per task, as in [`of_tasks`].
const IDS_OF_TASKS: &str = "SELECT a.id FROM unnest($1::bigint[]) w (id)
     CROSS JOIN LATERAL (SELECT id FROM annotations WHERE task_id = w.id OFFSET 0) a";

/// Locks the annotations of tasks until the transaction ends. Callers lock the tasks after them, as each change of an
/// annotation does.
pub(crate) async fn lock_of_tasks(tx: &Transaction<'_>, tasks: &[i64]) -> Result<()> {
    let text = format!("SELECT 1 FROM annotations WHERE id = ANY (ARRAY({IDS_OF_TASKS})) ORDER BY id FOR UPDATE");
    tx.execute(&text, &[&tasks]).await?;
    Ok(())
}

/// Deletes the annotations of tasks that are deleted next, and returns their number.
pub(crate) async fn delete_of_tasks(tx: &Transaction<'_>, tasks: &[i64]) -> Result<i64> {
    let text = format!("DELETE FROM annotations WHERE id = ANY (ARRAY({IDS_OF_TASKS}))");
    Ok(i64::try_from(tx.execute(&text, &[&tasks]).await?).unwrap_or(i64::MAX))
}
