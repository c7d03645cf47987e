//! Deletes ledger rows with their tasks, so that the next sync imports their objects again.
//!
//! Rows of the ledger are never updated, so their places (`ctid`) stay valid within a statement. The statements are not
//! prepared, as in `lookup`.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::{GenericClient, Result, Transaction};

/// A row of the ledger of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPlace {
    /// The object's key. Empty before the first.
    pub key: String,
    /// Number of the item within the object. -1 before the first.
    pub row_index: i32,
}

impl LedgerPlace {
    /// Before all rows of a ledger.
    pub const START: Self = Self { key: String::new(), row_index: -1 };
}

fn deleted(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Deletes the ledger rows of tasks, and returns their number. The tasks must still be there.
///
/// The first row of an object says that it was imported. While another of its tasks is left, that row stays; then all go.
pub(crate) async fn forget_tasks(tx: &Transaction<'_>, tasks: &[i64]) -> Result<i64> {
    // The keys first: an object may have 100,000 items, and each of them its task.
    let text = "WITH entries AS MATERIALIZED (
                    SELECT k.storage_id, k.storage_key AS key, o.place, o.row_index, o.task_id, d.id IS NOT NULL AS goes
                      FROM (SELECT DISTINCT t.storage_id, t.storage_key FROM unnest($1::bigint[]) w (id)
                             CROSS JOIN LATERAL (SELECT storage_id, storage_key FROM tasks WHERE id = w.id LIMIT 1) t
                             WHERE t.storage_key IS NOT NULL) k
                     CROSS JOIN LATERAL (SELECT ctid AS place, row_index, task_id FROM objects
                                          WHERE storage_id = k.storage_id AND key = k.storage_key OFFSET 0) o
                      LEFT JOIN unnest($1::bigint[]) d (id) ON d.id = o.task_id
                ), used AS (
                    SELECT DISTINCT e.storage_id, e.key
                      FROM entries e CROSS JOIN LATERAL (SELECT id FROM tasks WHERE id = e.task_id LIMIT 1) t
                     WHERE NOT e.goes
                )
                DELETE FROM objects WHERE ctid = ANY (ARRAY(
                    SELECT e.place FROM entries e LEFT JOIN used u ON u.storage_id = e.storage_id AND u.key = e.key
                     WHERE u.key IS NULL OR (e.goes AND e.row_index > 0)))";
    Ok(deleted(tx.execute(text, &[&tasks]).await?))
}

/// Where the next `limit` ledger rows of a storage end. `None` after the last.
pub async fn next_of_ledger(
    client: &impl GenericClient,
    storage_id: i64,
    after: &LedgerPlace,
    limit: i64,
) -> Result<Option<LedgerPlace>> {
    let text = "SELECT key, row_index
                  FROM (SELECT key, row_index FROM objects
                         WHERE (storage_id, key, row_index) > ($1, $2, $3) AND storage_id = $1
                         ORDER BY storage_id, key, row_index LIMIT (SELECT $4::bigint)) page
                 ORDER BY key DESC, row_index DESC LIMIT 1";
    let row = client.query_opt(text, &[&storage_id, &after.key, &after.row_index, &limit]).await?;
    Ok(row.map(|row| LedgerPlace { key: row.get(0), row_index: row.get(1) }))
}

/// Deletes the ledger rows in `(after, until]` of objects that have no task any more, or never had one. Returns their
/// number.
pub(crate) async fn forget_without_task(
    tx: &Transaction<'_>,
    storage_id: i64,
    after: &LedgerPlace,
    until: &LedgerPlace,
) -> Result<i64> {
    // An object whose rows are in several pages is looked at in each of them, but once. The limit has no effect but that the
    // rows are read by the index, whatever the statistics say. The places are gathered by key, because a join of the page with
    // its unused keys compared each row with each of them.
    let text = "WITH page AS MATERIALIZED (
                    SELECT o.ctid AS place, o.key FROM objects o
                     WHERE (o.storage_id, o.key, o.row_index) > ($1, $2, $3)
                       AND (o.storage_id, o.key, o.row_index) <= ($1, $4, $5)
                     ORDER BY o.storage_id, o.key, o.row_index LIMIT (SELECT $6::bigint)
                )
                DELETE FROM objects WHERE ctid = ANY (ARRAY(
                    SELECT unnest(k.places) FROM (SELECT key, array_agg(place) AS places FROM page GROUP BY key) k
                     WHERE (SELECT t.id FROM (SELECT task_id FROM objects WHERE storage_id = $1 AND key = k.key OFFSET 0) o
                             CROSS JOIN LATERAL (SELECT id FROM tasks WHERE id = o.task_id LIMIT 1) t LIMIT 1) IS NULL))";
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
        [&storage_id, &after.key, &after.row_index, &until.key, &until.row_index, &i64::MAX];
    Ok(deleted(tx.execute(text, &values).await?))
}

/// Deletes at most `limit` ledger rows of these storages.
pub(crate) async fn delete_some(tx: &Transaction<'_>, storages: &[i64], limit: i64) -> Result<i64> {
    let text = "DELETE FROM objects WHERE ctid = ANY (ARRAY(
                    SELECT r.place FROM unnest($1::bigint[]) s (id)
                     CROSS JOIN LATERAL (SELECT ctid AS place FROM objects WHERE storage_id = s.id
                                          ORDER BY key, row_index LIMIT (SELECT $2::bigint)) r
                     LIMIT (SELECT $2::bigint)))";
    Ok(deleted(tx.execute(text, &[&storages, &limit]).await?))
}
