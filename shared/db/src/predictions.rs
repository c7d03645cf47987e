//! The `predictions` table of the native host, as the API reads it. Imports write it by `COPY`, see `host`.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use jiff::Timestamp;

use crate::{GenericClient, Result};

/// A prediction of a task, without its result: see [`crate::printed`].
#[derive(Debug, Clone)]
pub struct PredictionRow {
    /// Identity of the prediction.
    pub id: i64,
    /// The task it belongs to.
    pub task_id: i64,
    /// The task's project.
    pub project_id: i64,
    /// How sure the model was, in its own unit. `None` if it did not say.
    pub score: Option<f64>,
    /// Cut to [`MAX_MODEL_VERSION`] characters.
    pub model_version: String,
    /// When it was made, by the database clock.
    pub created_at: Timestamp,
    /// When it was last changed, by the database clock.
    pub updated_at: Timestamp,
    /// Bytes of `result` as it is stored, compressed.
    pub stored_bytes: i64,
}

/// Characters of a model version that are shown.
///
/// Versions are names such as `yolo-v8-2024-03`; an import may hold
/// megabytes instead, which would go into every list.
pub const MAX_MODEL_VERSION: i32 = 256;

/// At most `limit` predictions of these tasks, task by task and by ID.
///
/// Looked up task by task, which `OFFSET` keeps it to: for `ANY` of a hundred tasks a table that has grown since it was
/// last analyzed is read whole.
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
