//! The `tasks` table of the native host, as the API reads it. Imports write it by `COPY`, see `host`.
//!
//! JSON columns are not read here: see [`crate::printed`].

use crate::GenericClient;
use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::Result;

/// A task without its JSON columns: those are read by [`crate::printed`], as far as they fit into an answer.
#[derive(Debug, Clone)]
pub struct TaskRow {
    pub id: i64,
    pub project_id: i64,
    /// The key it was imported from, while that storage is there.
    pub storage_key: Option<String>,
    pub total_annotations: i32,
    pub cancelled_annotations: i32,
    pub total_predictions: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Bytes of `data` and `meta` as they are stored, compressed.
    pub stored_bytes: i64,
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

/// A prediction of a task, without its result: see [`crate::printed`].
#[derive(Debug, Clone)]
pub struct PredictionRow {
    pub id: i64,
    pub task_id: i64,
    pub project_id: i64,
    pub score: Option<f64>,
    /// Cut to [`MAX_MODEL_VERSION`] characters.
    pub model_version: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Bytes of `result` as it is stored, compressed.
    pub stored_bytes: i64,
}

/// Characters of a model version that are shown.
///
/// Versions are names such as `yolo-v8-2024-03`; an import may hold
/// megabytes instead, which would go into every list.
pub const MAX_MODEL_VERSION: i32 = 256;

/// IDs of annotations and annotators that the summary of a task names. A task has a handful; without a limit one
/// task could fill an answer.
pub const MAX_SUMMARY_IDS: i32 = 1_000;

/// What a list shows of a task's annotations and predictions, without reading any of them.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub task_id: i64,
    /// Users who annotated it, the first 1,000.
    pub annotators: Vec<i64>,
    /// Annotation IDs, comma-separated, the first 1,000.
    pub annotation_ids: String,
    /// Seconds.
    pub mean_lead_time: Option<f64>,
    /// When the last annotation that was not cancelled was made.
    pub completed_at: Option<DateTime<Utc>>,
    pub mean_score: Option<f64>,
    /// Comma-separated.
    pub model_versions: String,
}

const SELECT: &str = "SELECT t.id, t.project_id,
            CASE WHEN EXISTS (SELECT FROM storages s WHERE s.id = t.storage_id) THEN t.storage_key END AS storage_key,
            t.total_annotations, t.cancelled_annotations, t.total_predictions, t.created_at, t.updated_at,
            (pg_column_size(t.data) + pg_column_size(t.meta))::bigint AS stored_bytes";

/// The tasks of a project after an ID, in order: $1 project, $2 after.
///
/// Pairs in the order of the index by project, which leave the planner no other way. Told the project by itself, it
/// expects too few rows of it while the table has grown since it was last analyzed, and reads and sorts all of them.
const OF_PROJECT: &str = "(project_id, id) > ($1::bigint, $2::bigint) AND (project_id, id) <= ($1, 9223372036854775807) ORDER BY project_id, id";

fn read(row: &Row) -> TaskRow {
    TaskRow {
        id: row.get("id"),
        project_id: row.get("project_id"),
        storage_key: row.get("storage_key"),
        total_annotations: row.get("total_annotations"),
        cancelled_annotations: row.get("cancelled_annotations"),
        total_predictions: row.get("total_predictions"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
        stored_bytes: row.get("stored_bytes"),
    }
}

/// One task, or `None`.
///
/// # Errors
/// The database is away.
pub async fn get(client: &impl GenericClient, id: i64) -> Result<Option<TaskRow>> {
    let row = client.query_opt(&format!("{SELECT} FROM tasks t WHERE t.id = $1"), &[&id]).await?;
    Ok(row.as_ref().map(read))
}

/// One page of a project's tasks in the order they were made.
///
/// # Errors
/// The database is away.
pub async fn page(client: &impl GenericClient, project: i64, from: From, limit: i64) -> Result<Vec<TaskRow>> {
    // The ids by the index alone, and only then the rows: those before the page are never looked at.
    // Without an offset where there is none: it would look like a good part of the table in a plan for all values.
    let (after, offset, cut) = match from {
        From::Offset(0) => (i64::MIN, None, "LIMIT $3"),
        From::Offset(tasks) => (i64::MIN, Some(tasks), "LIMIT $3 OFFSET $4"),
        From::After(id) => (id, None, "LIMIT $3"),
    };
    // The limit of one keeps it a look-up by key for each row, whatever the planner knows of the table.
    let text = format!(
        "{SELECT} FROM unnest(ARRAY(SELECT id FROM tasks WHERE {OF_PROJECT} {cut})) AS page (id)
            CROSS JOIN LATERAL (SELECT * FROM tasks WHERE id = page.id LIMIT 1) t ORDER BY page.id"
    );
    let statement = client.prepare_cached(&text).await?;
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&project, &after, &limit];
    values.extend(offset.as_ref().map(|offset| offset as &(dyn ToSql + Sync)));
    let rows = client.query(&statement, &values).await?;
    Ok(rows.iter().map(read).collect())
}

/// How many tasks, annotations and predictions a project has: exactly if they are few.
///
/// # Errors
/// The database is away.
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

/// At most `limit` predictions of these tasks, task by task and by ID.
///
/// Looked up task by task, which `OFFSET` keeps it to: for `ANY` of a hundred tasks a table that has grown since it was
/// last analyzed is read whole.
///
/// # Errors
/// The database is unavailable.
pub async fn predictions(client: &impl GenericClient, tasks: &[i64], limit: i64) -> Result<Vec<PredictionRow>> {
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

/// Sums up the annotations and predictions of these tasks. Their results are not read.
///
/// # Errors
/// The database is unavailable.
pub async fn summaries(client: &impl GenericClient, tasks: &[i64]) -> Result<Vec<Summary>> {
    // Means as `numeric`: two times of 1e200 seconds overflow as `float8`, and the whole list would fail.
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
