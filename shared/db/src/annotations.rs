//! The `annotations` table of the native host; every change keeps the counts of its task.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use jiff::Timestamp;
use tokio_postgres::Row;

use crate::{Error, GenericClient, RawJson, Result, Transaction, tasks};

/// An annotation without its result: that is read by [`crate::printed`], as far as it fits into an answer.
#[derive(Debug, Clone)]
pub struct AnnotationRow {
    /// Identity of the annotation.
    pub id: i64,
    /// The task it belongs to.
    pub task_id: i64,
    /// The task's project.
    pub project_id: i64,
    /// Whether the annotator skipped the task. Written by users and import.
    pub was_cancelled: bool,
    /// Whether others are compared with it. Written by users and import.
    pub ground_truth: bool,
    /// Seconds that it took. `None` if not known. Written by users and import.
    pub lead_time: Option<f64>,
    /// ID of the user who made it. `None` if not known. Written by users and import.
    pub completed_by: Option<i64>,
    /// When it was made, by the database clock.
    pub created_at: Timestamp,
    /// When it was last changed, by the database clock. Exports compare it.
    pub updated_at: Timestamp,
    /// Bytes of `result` as it is stored, compressed.
    pub stored_bytes: i64,
}

/// The part of an annotation that users write.
#[derive(Debug, Clone)]
pub struct Written<'a> {
    /// JSON text; `None` leaves a stored one as it is.
    pub result: Option<&'a str>,
    /// Whether the annotator skipped the task.
    pub was_cancelled: bool,
    /// Whether others are compared with it.
    pub ground_truth: bool,
    /// Seconds that it took; `None` if not known.
    pub lead_time: Option<f64>,
    /// ID of the user who made it; `None` if not known.
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
/// [`Error::NotFound`] without such a task.
pub async fn insert(tx: &Transaction<'_>, task: i64, written: &Written<'_>) -> Result<AnnotationRow> {
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
                &written.result.map(RawJson),
                &written.was_cancelled,
                &written.ground_truth,
                &written.lead_time,
                &written.completed_by,
            ],
        )
        .await?
        .ok_or_else(|| Error::NotFound(format!("task {task}")))?;
    tasks::count_annotations(tx, task).await?;
    Ok(read(&row))
}

/// One annotation, locked until the transaction ends, or `None`.
pub async fn lock(tx: &Transaction<'_>, id: i64) -> Result<Option<AnnotationRow>> {
    let row = tx.query_opt(&format!("SELECT {COLUMNS} FROM annotations WHERE id = $1 FOR UPDATE"), &[&id]).await?;
    Ok(row.as_ref().map(read))
}

/// One annotation, or `None`.
pub async fn get(client: &impl GenericClient, id: i64) -> Result<Option<AnnotationRow>> {
    let row = client.query_opt(&format!("SELECT {COLUMNS} FROM annotations WHERE id = $1"), &[&id]).await?;
    Ok(row.as_ref().map(read))
}

/// At most `limit` annotations of these tasks after the ID `after`, task by task and by ID.
///
/// Looked up task by task, which `OFFSET` keeps it to: for `ANY` of a hundred tasks a table that has grown since it was
/// last analyzed is read whole.
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
/// [`Error::NotFound`] without such an annotation.
pub async fn update(tx: &Transaction<'_>, id: i64, written: &Written<'_>) -> Result<AnnotationRow> {
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
                &written.result.map(RawJson),
                &written.was_cancelled,
                &written.ground_truth,
                &written.lead_time,
                &written.completed_by,
            ],
        )
        .await?;
    let annotation = row.as_ref().map(read).ok_or_else(|| Error::NotFound(format!("annotation {id}")))?;
    tasks::count_annotations(tx, annotation.task_id).await?;
    Ok(annotation)
}

/// Removes an annotation and returns what it was, or `None`.
pub async fn delete(tx: &Transaction<'_>, id: i64) -> Result<Option<AnnotationRow>> {
    let row = tx.query_opt(&format!("DELETE FROM annotations WHERE id = $1 RETURNING {COLUMNS}"), &[&id]).await?;
    let Some(annotation) = row.as_ref().map(read) else { return Ok(None) };
    tasks::count_annotations(tx, annotation.task_id).await?;
    Ok(Some(annotation))
}
