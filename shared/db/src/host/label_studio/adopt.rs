//! Brings the ledger of a storage into agreement with Label Studio's links, which are the truth about known keys.
//!
//! Label Studio's own syncs add links, and a deleted task takes its link along, so its object comes back with the next
//! sync. The links have no index on their keys, so both are read once at the start of a sync, and never key by key.

use tokio_postgres::Row;

use super::tables::StorageTables;
use crate::{Client, Result, Transaction};

/// Differences per statement: at most 10 MB of keys.
const BATCH: i32 = 5_000;

/// Adds ledger rows for links that the ledger lacks, and removes those without a link. An object without items has no
/// task; its row stays unless Label Studio has imported the object since then.
///
/// One transaction, which takes about two seconds for a million new links and less for known ones. The caller limits its
/// time.
pub(super) async fn adopt(client: &mut Client, tables: &StorageTables, storage_id: i64, host_id: i64) -> Result<()> {
    let tx = client.transaction().await?;
    // The time grows with the links. The caller's limit ends it, and a statement of a caller that died ends in the end.
    tx.batch_execute("SET LOCAL statement_timeout = '15min'").await?;
    // Equality alone, so that Postgres can hash both sides: any other condition would compare each link with each row.
    let differences = format!(
        "SELECT coalesce(o.key, l.key) AS key, coalesce(o.row_index, l.row_index) AS row_index, l.task_id
           FROM (SELECT key, row_index, task_id FROM objects WHERE storage_id = $1) o
           FULL JOIN (SELECT key COLLATE \"C\" AS key, coalesce(row_index, 0) AS row_index, task_id::bigint
                        FROM public.{} WHERE storage_id = $2::bigint) l
             ON l.key = o.key AND l.row_index = o.row_index
          WHERE (o.task_id IS NULL) <> (l.task_id IS NULL)",
        tables.links
    );
    let differences = tx.prepare(&differences).await?;
    let differences = tx.bind(&differences, &[&storage_id, &host_id]).await?;
    loop {
        let rows = tx.query_portal(&differences, BATCH).await?;
        write(&tx, storage_id, &rows).await?;
        if i32::try_from(rows.len()).is_ok_and(|count| count < BATCH) {
            break;
        }
    }
    Ok(tx.commit().await?)
}

/// Makes the ledger agree with the links in these places.
async fn write(tx: &Transaction<'_>, storage_id: i64, differences: &[Row]) -> Result<()> {
    let (mut gone, mut linked) = (<(Vec<&str>, Vec<i32>)>::default(), <(Vec<&str>, Vec<i32>, Vec<i64>)>::default());
    for row in differences {
        let (key, row_index) = (row.get("key"), row.get("row_index"));
        match row.get("task_id") {
            None => {
                gone.0.push(key);
                gone.1.push(row_index);
            }
            Some(task_id) => {
                linked.0.push(key);
                linked.1.push(row_index);
                linked.2.push(task_id);
            }
        }
    }
    if !gone.0.is_empty() {
        let text = "DELETE FROM objects o USING unnest($2::text[], $3::int[]) g(key, row_index)
                     WHERE o.storage_id = $1 AND o.key = g.key COLLATE \"C\" AND o.row_index = g.row_index";
        tx.execute(text, &[&storage_id, &gone.0, &gone.1]).await?;
    }
    if !linked.0.is_empty() {
        // Label Studio may link a key twice. The object's version is not known: a later sync does not compare it.
        let text = "INSERT INTO objects AS o (storage_id, key, row_index, task_id, size, sync_id)
                    SELECT DISTINCT ON (key, row_index) $1::bigint, key COLLATE \"C\" AS key, row_index, task_id, 0, 0
                      FROM unnest($2::text[], $3::int[], $4::bigint[]) l(key, row_index, task_id)
                     ORDER BY key, row_index, task_id
                        ON CONFLICT (storage_id, key, row_index) DO UPDATE
                       SET task_id = excluded.task_id, etag = NULL, size = 0, modified_at = NULL, sync_id = 0
                     WHERE o.task_id IS NULL";
        tx.execute(text, &[&storage_id, &linked.0, &linked.1, &linked.2]).await?;
    }
    Ok(())
}
