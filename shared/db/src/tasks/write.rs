//! Tasks that users make and change.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::{Error, GenericClient, RawJson, Result, Transaction};

/// Adds a task to a project, and returns its ID. Its JSON texts are `data` and `meta`; without the latter, it is an empty
/// object.
///
/// # Errors
/// [`Error::NotFound`] if the project does not exist.
pub async fn insert(tx: &Transaction<'_>, project: i64, data: &str, meta: Option<&str>) -> Result<i64> {
    // The lock keeps the project from being deleted before the task is visible.
    let text = "INSERT INTO tasks (project_id, data, meta)
                SELECT id, $2::jsonb, coalesce($3::jsonb, '{}') FROM projects WHERE id = $1 FOR KEY SHARE RETURNING id";
    let row = tx.query_opt(text, &[&project, &RawJson(data), &meta.map(RawJson)]).await?;
    row.map(|row| row.get(0)).ok_or_else(|| Error::NotFound(format!("project {project}")))
}

/// Changes the JSON texts of a task that are given. Returns false if the task does not exist.
pub async fn update(tx: &Transaction<'_>, id: i64, data: Option<&str>, meta: Option<&str>) -> Result<bool> {
    let text = "UPDATE tasks SET data = coalesce($2::jsonb, data), meta = coalesce($3::jsonb, meta), updated_at = now()
                 WHERE id = $1";
    Ok(tx.execute(text, &[&id, &data.map(RawJson), &meta.map(RawJson)]).await? > 0)
}

/// Locks a task until the transaction ends. Returns its project, or `None` if it does not exist.
pub async fn lock(tx: &Transaction<'_>, id: i64) -> Result<Option<i64>> {
    let row = tx.query_opt("SELECT project_id FROM tasks WHERE id = $1 FOR UPDATE", &[&id]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// Counts the predictions of a task again. The caller has locked the task.
pub(crate) async fn count_predictions(tx: &Transaction<'_>, task: i64) -> Result<()> {
    let text = "UPDATE tasks SET total_predictions = (SELECT count(*)::int FROM predictions WHERE task_id = $1)
                 WHERE id = $1";
    tx.execute(text, &[&task]).await?;
    Ok(())
}
