//! How much a project holds.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use super::OF_PROJECT;
use crate::{GenericClient, Result};

/// What a project holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tasks of the project.
    pub tasks: i64,
    /// Annotations that were not cancelled.
    pub annotations: i64,
    /// Predictions.
    pub predictions: i64,
    /// Whether they were counted one by one; else the planner's estimate from its statistics.
    pub exact: bool,
}

/// Up to this many tasks of a project are counted one by one, in milliseconds; counting ten million takes seconds.
const COUNTED: i64 = 10_000;

/// How many tasks, annotations and predictions a project has: exactly if they are few.
pub async fn totals(client: &impl GenericClient, project: i64) -> Result<Totals> {
    let text = format!(
        "SELECT count(*), coalesce(sum(total_annotations), 0)::bigint, coalesce(sum(total_predictions), 0)::bigint
           FROM (SELECT total_annotations, total_predictions FROM tasks
                  WHERE {OF_PROJECT} LIMIT (SELECT $3::bigint)) first"
    );
    let statement = client.prepare_cached(&text).await?;
    let row = client.query_one(&statement, &[&project, &i64::MIN, &(COUNTED + 1)]).await?;
    let tasks: i64 = row.get(0);
    if tasks <= COUNTED {
        return Ok(Totals { tasks, annotations: row.get(1), predictions: row.get(2), exact: true });
    }
    Ok(Totals {
        tasks: estimate(client, "tasks", project).await?.max(tasks),
        annotations: estimate(client, "annotations", project).await?.max(row.get(1)),
        predictions: estimate(client, "predictions", project).await?.max(row.get(2)),
        exact: false,
    })
}

/// How many rows of a table the planner expects a project to have: it scales its statistics to the table's
/// present size. Nothing is read for it.
async fn estimate(client: &impl GenericClient, table: &'static str, project: i64) -> Result<i64> {
    // EXPLAIN takes no parameters; a number is safe in a text.
    let text = format!("EXPLAIN (FORMAT JSON) SELECT FROM {table} WHERE project_id = {project}");
    let plan: serde_json::Value = client.query_one(&text, &[]).await?.get(0);
    let rows = plan.pointer("/0/Plan/Plan Rows").and_then(serde_json::Value::as_f64);
    Ok(rows.unwrap_or_default() as i64)
}
