//! Deletes tasks, page by page.
//!
//! The statements are not prepared: Postgres would keep a plan that it made for a tiny table. `LATERAL (… LIMIT 1)`
//! forces a look-up by key for each row.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::{GenericClient, Result, Transaction};

/// The tasks of a project, or of one of its storages, with IDs in `(after, until]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRange {
    /// ID of the project.
    pub project_id: i64,
    /// Only tasks that this storage made; `None` means all of the project.
    pub storage_id: Option<i64>,
    /// Only tasks with a larger ID.
    pub after: i64,
    /// Only tasks with this ID or a smaller one.
    pub until: i64,
}

/// The next tasks of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextTasks {
    /// The largest ID that was read.
    pub until: i64,
    /// How many of the tasks that were read are in the range.
    pub count: i64,
}

const OF_RANGE: &str = "(project_id, id) > ($1::bigint, $2::bigint) AND (project_id, id) <= ($1, $3::bigint)";

/// Looks at the next `limit` tasks of the project, of which few may be of the storage. `None` after the last.
pub async fn next_of_range(client: &impl GenericClient, range: &TaskRange, limit: i64) -> Result<Option<NextTasks>> {
    let text = format!(
        "SELECT max(id), count(*) FILTER (WHERE $4::bigint IS NULL OR storage_id = $4)
           FROM (SELECT id, storage_id FROM tasks WHERE {OF_RANGE} ORDER BY project_id, id
                  LIMIT (SELECT $5::bigint)) page"
    );
    let row =
        client.query_one(&text, &[&range.project_id, &range.after, &range.until, &range.storage_id, &limit]).await?;
    Ok(row.get::<_, Option<i64>>(0).map(|until| NextTasks { until, count: row.get(1) }))
}

/// IDs of the tasks of a range. If `whole_objects`, also of the other tasks of the project from the same objects, because
/// an object of which the ledger has an entry is not imported again.
pub(crate) async fn ids_of_range(tx: &Transaction<'_>, range: &TaskRange, whole_objects: bool) -> Result<Vec<i64>> {
    let text = format!(
        "WITH page AS MATERIALIZED (
             SELECT id, storage_id, storage_key FROM tasks
              WHERE {OF_RANGE} AND ($4::bigint IS NULL OR storage_id = $4) ORDER BY project_id, id
         )
         SELECT id FROM page
          UNION
         SELECT t.id FROM (SELECT DISTINCT storage_id, storage_key FROM page WHERE storage_key IS NOT NULL AND $5) k
          CROSS JOIN LATERAL (SELECT task_id FROM objects WHERE storage_id = k.storage_id AND key = k.storage_key OFFSET 0) o
          CROSS JOIN LATERAL (SELECT id, project_id FROM tasks WHERE id = o.task_id LIMIT 1) t
          WHERE t.project_id = $1
          ORDER BY id"
    );
    let rows =
        tx.query(&text, &[&range.project_id, &range.after, &range.until, &range.storage_id, &whole_objects]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The tasks among these that are of the project, in the order of their IDs.
pub async fn among(client: &impl GenericClient, project_id: i64, ids: &[i64]) -> Result<Vec<i64>> {
    let text = "SELECT DISTINCT t.id FROM unnest($2::bigint[]) w (id)
                 CROSS JOIN LATERAL (SELECT id FROM tasks WHERE project_id = $1 AND id = w.id LIMIT 1) t ORDER BY t.id";
    let rows = client.query(text, &[&project_id, &ids]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The largest ID of a task of the project; 0 if there is none.
pub(crate) async fn last_id(tx: &Transaction<'_>, project_id: i64) -> Result<i64> {
    let text = "SELECT id FROM tasks WHERE project_id = $1 ORDER BY project_id DESC, id DESC LIMIT 1";
    Ok(tx.query_opt(text, &[&project_id]).await?.map_or(0, |row| row.get(0)))
}

/// Locks tasks until the transaction ends. No annotation can be added to them meanwhile.
pub(crate) async fn lock_all(tx: &Transaction<'_>, ids: &[i64]) -> Result<()> {
    let text = "SELECT 1 FROM unnest($1::bigint[]) w (id)
                 CROSS JOIN LATERAL (SELECT id FROM tasks WHERE id = w.id LIMIT 1 FOR UPDATE) t";
    tx.execute(text, &[&ids]).await?;
    Ok(())
}

/// Deletes tasks, and nothing of theirs in other tables. Returns their number.
pub(crate) async fn delete_all(tx: &Transaction<'_>, ids: &[i64]) -> Result<i64> {
    let text = "DELETE FROM tasks WHERE id = ANY (ARRAY(SELECT unnest($1::bigint[])))";
    Ok(i64::try_from(tx.execute(text, &[&ids]).await?).unwrap_or(i64::MAX))
}
