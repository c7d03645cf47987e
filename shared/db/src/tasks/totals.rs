//! Numbers of tasks, annotations and predictions of a project.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use super::OF_PROJECT;
use crate::{GenericClient, Result};

/// Numbers of tasks, annotations and predictions of a project.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of tasks.
    pub tasks: i64,
    /// Number of annotations that were not cancelled.
    pub annotations: i64,
    /// Number of predictions.
    pub predictions: i64,
    /// Whether the numbers are exact. Otherwise they are the planner's estimates.
    pub exact: bool,
}

/// The most tasks of a project that are counted exactly. That takes milliseconds; counting ten million takes seconds.
const MAX_EXACT: i64 = 10_000;

/// How many tasks, annotations and predictions a project has: exact up to 10,000 tasks, an estimate above.
pub async fn totals(client: &impl GenericClient, project: i64) -> Result<Totals> {
    let text = format!(
        "SELECT count(*), coalesce(sum(total_annotations), 0)::bigint, coalesce(sum(total_predictions), 0)::bigint
           FROM (SELECT total_annotations, total_predictions FROM tasks
                  WHERE {OF_PROJECT} LIMIT (SELECT $3::bigint)) first"
    );
    let statement = client.prepare_cached(&text).await?;
    let row = client.query_one(&statement, &[&project, &i64::MIN, &(MAX_EXACT + 1)]).await?;
    let tasks: i64 = row.get(0);
    if tasks <= MAX_EXACT {
        return Ok(Totals { tasks, annotations: row.get(1), predictions: row.get(2), exact: true });
    }
    Ok(Totals {
        tasks: estimate(client, "tasks", project).await?.max(tasks),
        annotations: estimate(client, "annotations", project).await?.max(row.get(1)),
        predictions: estimate(client, "predictions", project).await?.max(row.get(2)),
        exact: false,
    })
}

/// The number of rows of a table that the planner expects for a project. It scales its statistics to the current size
/// of the table, and reads no rows.
async fn estimate(client: &impl GenericClient, table: &'static str, project: i64) -> Result<i64> {
    // EXPLAIN takes no parameters; a number is safe within the SQL text.
    let text = format!("EXPLAIN (FORMAT JSON) SELECT FROM {table} WHERE project_id = {project}");
    let plan: serde_json::Value = client.query_one(&text, &[]).await?.get(0);
    let rows = plan.pointer("/0/Plan/Plan Rows").and_then(serde_json::Value::as_f64);
    Ok(rows.unwrap_or_default() as i64)
}
