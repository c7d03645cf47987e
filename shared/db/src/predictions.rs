//! The `predictions` table of the native host, as the API reads it. Imports write it by `COPY`, see `host`.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use jiff::Timestamp;
use tokio_postgres::Row;

use crate::tasks::MAX_MODEL_VERSION;
use crate::{Error, GenericClient, RawJson, Result, Transaction, tasks};

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

/// The part of a prediction that users write.
#[derive(Debug, Clone)]
pub struct PredictionValues<'a> {
    /// JSON text. `None` is an empty list in a new prediction, and no change in an existing one.
    pub result: Option<&'a str>,
    /// The model's confidence, in the model's unit. `None` if it gave none.
    pub score: Option<f64>,
    /// Version of the model.
    pub model_version: &'a str,
}

/// The columns of [`PredictionRow`]: `$n` is [`MAX_MODEL_VERSION`].
fn columns(n: u8) -> String {
    format!(
        "id, task_id, project_id, score, left(model_version, ${n}) AS model_version, created_at, updated_at,
         pg_column_size(result)::bigint AS stored_bytes"
    )
}

fn read(row: &Row) -> PredictionRow {
    PredictionRow {
        id: row.get("id"),
        task_id: row.get("task_id"),
        project_id: row.get("project_id"),
        score: row.get("score"),
        model_version: row.get("model_version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
        stored_bytes: row.get("stored_bytes"),
    }
}

/// At most `limit` predictions of these tasks after the ID `after`, task by task and by ID.
///
/// `OFFSET 0` forces a look-up per task. With `ANY` of a hundred tasks, Postgres may read a whole table that has grown
/// since its last analyze.
pub async fn of_tasks(
    client: &impl GenericClient,
    tasks: &[i64],
    after: i64,
    limit: i64,
) -> Result<Vec<PredictionRow>> {
    let statement = client
        .prepare_cached(&format!(
            "SELECT found.* FROM unnest($1::bigint[]) wanted (id)
              CROSS JOIN LATERAL (
                  SELECT {} FROM (SELECT * FROM predictions WHERE task_id = wanted.id OFFSET 0) p
                   WHERE id > $4 ORDER BY id LIMIT $2) found
              LIMIT $2",
            columns(3)
        ))
        .await?;
    let rows = client.query(&statement, &[&tasks, &limit, &MAX_MODEL_VERSION, &after]).await?;
    Ok(rows.iter().map(read).collect())
}

/// One prediction, or `None` if it does not exist.
pub async fn get(client: &impl GenericClient, id: i64) -> Result<Option<PredictionRow>> {
    let text = format!("SELECT {} FROM predictions WHERE id = $1", columns(2));
    Ok(client.query_opt(&text, &[&id, &MAX_MODEL_VERSION]).await?.as_ref().map(read))
}

/// Adds a prediction to a task.
///
/// # Errors
/// [`Error::NotFound`] if the task does not exist.
pub async fn insert(tx: &Transaction<'_>, task: i64, values: &PredictionValues<'_>) -> Result<PredictionRow> {
    let text = format!(
        "INSERT INTO predictions (task_id, project_id, result, score, model_version)
         SELECT id, project_id, coalesce($2::jsonb, '[]'), $3, $4 FROM tasks WHERE id = $1 FOR UPDATE RETURNING {}",
        columns(5)
    );
    let result = values.result.map(RawJson);
    let row = tx.query_opt(&text, &[&task, &result, &values.score, &values.model_version, &MAX_MODEL_VERSION]).await?;
    let row = row.as_ref().map(read).ok_or_else(|| Error::NotFound(format!("task {task}")))?;
    tasks::count_predictions(tx, task).await?;
    Ok(row)
}

/// Changes a prediction of a task, which the caller has locked. Returns `None` if it does not exist.
pub async fn update(tx: &Transaction<'_>, id: i64, values: &PredictionValues<'_>) -> Result<Option<PredictionRow>> {
    let text = format!(
        "UPDATE predictions SET result = coalesce($2::jsonb, result), score = $3, model_version = $4, updated_at = now()
          WHERE id = $1 RETURNING {}",
        columns(5)
    );
    let result = values.result.map(RawJson);
    let row = tx.query_opt(&text, &[&id, &result, &values.score, &values.model_version, &MAX_MODEL_VERSION]).await?;
    Ok(row.as_ref().map(read))
}

/// Deletes a prediction of a task, which the caller has locked. Returns false if it does not exist.
pub async fn delete(tx: &Transaction<'_>, id: i64, task: i64) -> Result<bool> {
    let deleted = tx.execute("DELETE FROM predictions WHERE id = $1", &[&id]).await? > 0;
    tasks::count_predictions(tx, task).await?;
    Ok(deleted)
}

/// Deletes the predictions of tasks that are deleted next.
pub(crate) async fn delete_of_tasks(tx: &Transaction<'_>, tasks: &[i64]) -> Result<()> {
    let text = "DELETE FROM predictions WHERE id = ANY (ARRAY(
                    SELECT p.id FROM unnest($1::bigint[]) w (id)
                     CROSS JOIN LATERAL (SELECT id FROM predictions WHERE task_id = w.id OFFSET 0) p))";
    tx.execute(text, &[&tasks]).await?;
    Ok(())
}
