//! The `tasks` table of the native host, as the API reads it. Imports write it by `COPY`, see `host`.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use crate::Result;

/// A task. JSON columns are text, passed on as they are.
#[derive(Debug, Clone)]
pub struct TaskRow {
    pub id: i64,
    pub project_id: i64,
    pub data: String,
    pub meta: String,
    /// The key it was imported from, while that storage is there.
    pub storage_key: Option<String>,
    pub total_annotations: i32,
    pub cancelled_annotations: i32,
    pub total_predictions: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What a project holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub tasks: i64,
    pub annotations: i64,
    pub predictions: i64,
    /// Counted one by one; else the planner's estimate from its statistics.
    pub exact: bool,
}

/// Where a page of tasks begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// After so many tasks, which are counted off: the further in, the slower.
    Offset(i64),
    /// After the task with this id: every page takes the same time.
    After(i64),
}

/// Up to so many tasks of a project are counted one by one, in milliseconds; counting ten million takes seconds.
const COUNTED: i64 = 10_000;

/// A prediction of a task.
#[derive(Debug, Clone)]
pub struct PredictionRow {
    pub id: i64,
    pub task_id: i64,
    pub project_id: i64,
    pub result: String,
    pub score: Option<f64>,
    pub model_version: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

const SELECT: &str = "SELECT t.id, t.project_id, t.data::text AS data, t.meta::text AS meta,
            CASE WHEN EXISTS (SELECT FROM storages s WHERE s.id = t.storage_id) THEN t.storage_key END AS storage_key,
            t.total_annotations, t.cancelled_annotations, t.total_predictions, t.created_at, t.updated_at
       FROM tasks t";

fn read(row: &Row) -> TaskRow {
    TaskRow {
        id: row.get("id"),
        project_id: row.get("project_id"),
        data: row.get("data"),
        meta: row.get("meta"),
        storage_key: row.get("storage_key"),
        total_annotations: row.get("total_annotations"),
        cancelled_annotations: row.get("cancelled_annotations"),
        total_predictions: row.get("total_predictions"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}

/// One task, or `None`.
///
/// # Errors
/// The database is away.
pub async fn get(client: &impl GenericClient, id: i64) -> Result<Option<TaskRow>> {
    let row = client.query_opt(&format!("{SELECT} WHERE t.id = $1"), &[&id]).await?;
    Ok(row.as_ref().map(read))
}

/// One page of a project's tasks in the order they were made.
///
/// # Errors
/// The database is away.
pub async fn page(client: &impl GenericClient, project: i64, from: From, limit: i64) -> Result<Vec<TaskRow>> {
    // The ids by the index alone, and only then the rows: those before the page are never looked at.
    let (ids, value) = match from {
        From::Offset(tasks) => ("project_id = $1 ORDER BY id LIMIT $3 OFFSET $2", tasks),
        From::After(id) => ("project_id = $1 AND id > $2 ORDER BY id LIMIT $3", id),
    };
    let text = format!("{SELECT} JOIN (SELECT id FROM tasks WHERE {ids}) page ON page.id = t.id ORDER BY t.id");
    let statement = client.prepare_cached(&text).await?;
    let rows = client.query(&statement, &[&project, &value, &limit]).await?;
    Ok(rows.iter().map(read).collect())
}

/// How many tasks, annotations and predictions a project has: exactly if they are few.
///
/// # Errors
/// The database is away.
pub async fn totals(client: &impl GenericClient, project: i64) -> Result<Totals> {
    let statement = client
        .prepare_cached(
            "SELECT count(*), coalesce(sum(total_annotations), 0)::bigint, coalesce(sum(total_predictions), 0)::bigint
               FROM (SELECT total_annotations, total_predictions FROM tasks
                      WHERE project_id = $1 ORDER BY id LIMIT $2) first",
        )
        .await?;
    let row = client.query_one(&statement, &[&project, &(COUNTED + 1)]).await?;
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

/// The predictions of these tasks, by id.
///
/// # Errors
/// The database is away.
pub async fn predictions(client: &impl GenericClient, tasks: &[i64]) -> Result<Vec<PredictionRow>> {
    let rows = client
        .query(
            "SELECT id, task_id, project_id, result::text AS result, score, model_version, created_at, updated_at
               FROM predictions WHERE task_id = ANY ($1) ORDER BY id",
            &[&tasks],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| PredictionRow {
            id: row.get("id"),
            task_id: row.get("task_id"),
            project_id: row.get("project_id"),
            result: row.get("result"),
            score: row.get("score"),
            model_version: row.get("model_version"),
            created_at: row.get("created_at"),
            updated_at: row.get("updated_at"),
        })
        .collect())
}
