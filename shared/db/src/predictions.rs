//! The `predictions` table of the native host, as the API reads it. Imports write it by `COPY`, see `host`.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use jiff::Timestamp;

use crate::{GenericClient, Result, Transaction};

/// A prediction of a task, without its result: see [`crate::printed`].
#[derive(Debug, Clone)]
pub struct PredictionRow {
    /// ID of the prediction.
    pub id: i64,
    /// ID of its task.
    pub task_id: i64,
    /// ID of the task's project.
    pub project_id: i64,
    /// The model's confidence, in the model's unit. `None` if it gave none.
    pub score: Option<f64>,
    /// Version of the model, cut to [`MAX_MODEL_VERSION`] characters.
    pub model_version: String,
    /// When it was created, by the database clock.
    pub created_at: Timestamp,
    /// When it was last changed, by the database clock.
    pub updated_at: Timestamp,
    /// Bytes of `result` as stored, after compression.
    pub stored_bytes: i64,
}

/// The most characters of a model version that are shown.
///
/// Versions are names such as `yolo-v8-2024-03`. An import may have megabytes instead, and each list would show them.
pub const MAX_MODEL_VERSION: i32 = 256;

/// At most `limit` predictions of these tasks, task by task and by ID.
///
/// `OFFSET 0` forces a look-up per task. With `ANY` of a hundred tasks, Postgres may read a whole table that has grown
/// since its last analyze.
pub async fn of_tasks(client: &impl GenericClient, tasks: &[i64], limit: i64) -> Result<Vec<PredictionRow>> {
    let statement = client
        .prepare_cached(
            "SELECT found.* FROM unnest($1::bigint[]) wanted (id)
              CROSS JOIN LATERAL (
                  SELECT id, task_id, project_id, score, left(model_version, $3) AS model_version, created_at,
                         updated_at, pg_column_size(result)::bigint AS stored_bytes
                    FROM (SELECT * FROM predictions WHERE task_id = wanted.id OFFSET 0) p ORDER BY id LIMIT $2) found
              LIMIT $2",
        )
        .await?;
    let rows = client.query(&statement, &[&tasks, &limit, &MAX_MODEL_VERSION]).await?;
    Ok(rows
        .iter()
        .map(|row| PredictionRow {
            id: row.get("id"),
            task_id: row.get("task_id"),
            project_id: row.get("project_id"),
            score: row.get("score"),
            model_version: row.get("model_version"),
            created_at: row.get("created_at"),
            updated_at: row.get("updated_at"),
            stored_bytes: row.get("stored_bytes"),
        })
        .collect())
}

/// Deletes the predictions of tasks that are deleted next.
pub(crate) async fn delete_of_tasks(tx: &Transaction<'_>, tasks: &[i64]) -> Result<()> {
    let text = "DELETE FROM predictions WHERE id = ANY (ARRAY(
                    SELECT p.id FROM unnest($1::bigint[]) w (id)
                     CROSS JOIN LATERAL (SELECT id FROM predictions WHERE task_id = w.id OFFSET 0) p))";
    tx.execute(text, &[&tasks]).await?;
    Ok(())
}
