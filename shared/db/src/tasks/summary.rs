//! Summaries of tasks for lists.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use jiff::Timestamp;

use crate::{GenericClient, Result};

/// The most IDs of annotations, and of annotators, in the summary of a task. A task usually has a few; without a limit,
/// one task could fill an answer.
pub const MAX_SUMMARY_IDS: i32 = 1_000;

/// The most characters of a model version that are shown.
///
/// Versions are names such as `yolo-v8-2024-03`. An import may have megabytes instead, and each list would show them.
pub const MAX_MODEL_VERSION: i32 = 256;

/// The summary of a task's annotations and predictions in a list. Their results are not read.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// ID of the task.
    pub task_id: i64,
    /// IDs of users who annotated it, the first [`MAX_SUMMARY_IDS`].
    pub annotators: Vec<i64>,
    /// IDs of its annotations, comma-separated, the first [`MAX_SUMMARY_IDS`].
    pub annotation_ids: String,
    /// Mean lead time of its annotations, in seconds. `None` if no annotation has one.
    pub mean_lead_time: Option<f64>,
    /// When the latest annotation that was not cancelled was created, by the database clock. `None` if there is none.
    pub completed_at: Option<Timestamp>,
    /// Mean score of its predictions. `None` if no prediction has one.
    pub mean_score: Option<f64>,
    /// Model versions of its predictions, comma-separated.
    pub model_versions: String,
}

/// Summarizes the annotations and predictions of these tasks.
pub async fn summaries(client: &impl GenericClient, tasks: &[i64]) -> Result<Vec<Summary>> {
    // Means as `numeric`: the sum of two `float8` values can overflow, and then the whole list would fail.
    let statement = client
        .prepare_cached(
            "SELECT wanted.id, a.*, p.* FROM unnest($1::bigint[]) wanted (id)
              CROSS JOIN LATERAL (
                  SELECT (array_agg(DISTINCT completed_by) FILTER (WHERE completed_by IS NOT NULL))[1:$2] AS annotators,
                         array_to_string((array_agg(id ORDER BY id))[1:$2], ',') AS annotation_ids,
                         avg(lead_time::numeric) FILTER (WHERE abs(lead_time) < 'infinity')::float8 AS lead_time,
                         max(created_at) FILTER (WHERE NOT was_cancelled) AS completed_at
                    FROM annotations WHERE task_id = wanted.id) a
              CROSS JOIN LATERAL (
                  SELECT avg(score::numeric) FILTER (WHERE abs(score) < 'infinity')::float8 AS score,
                         left(string_agg(DISTINCT left(model_version, $3), ',') FILTER (WHERE model_version <> ''),
                              $3 * 4) AS versions
                    FROM predictions WHERE task_id = wanted.id) p",
        )
        .await?;
    let rows = client.query(&statement, &[&tasks, &MAX_SUMMARY_IDS, &MAX_MODEL_VERSION]).await?;
    Ok(rows
        .iter()
        .map(|row| Summary {
            task_id: row.get("id"),
            annotators: row.get::<_, Option<_>>("annotators").unwrap_or_default(),
            annotation_ids: row.get::<_, Option<_>>("annotation_ids").unwrap_or_default(),
            mean_lead_time: row.get("lead_time"),
            completed_at: row.get("completed_at"),
            mean_score: row.get("score"),
            model_versions: row.get::<_, Option<_>>("versions").unwrap_or_default(),
        })
        .collect())
}
