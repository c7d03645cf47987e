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
/// One transaction, which takes about a second for 200,000 unknown links. The caller limits its time.
pub(super) async fn adopt(client: &mut Client, tables: &StorageTables, storage_id: i64, host_id: i64) -> Result<()> {
    let tx = client.transaction().await?;
    // The time grows with the links. The caller's limit ends it, and a statement of a caller that died ends in the end.
    tx.batch_execute("SET LOCAL statement_timeout = '15min'").await?;
    if agree(&tx, tables, storage_id, host_id).await? {
        return Ok(tx.commit().await?);
    }
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

/// Whether ledger and links have the same keys, by their number and the sum of 64-bit hashes. After most syncs they do, and for a
/// million keys two scans take 85 ms where a join takes 450 ms. Users who craft keys with equal hashes spoil the syncs of their
/// own storage alone.
async fn agree(tx: &Transaction<'_>, tables: &StorageTables, storage_id: i64, host_id: i64) -> Result<bool> {
    let text = format!(
        "SELECT (SELECT ROW(count(*), sum(hashtextextended(key, row_index))) FROM objects
                  WHERE storage_id = $1 AND task_id IS NOT NULL)
              = (SELECT ROW(count(*), sum(hashtextextended(key, coalesce(row_index, 0)))) FROM public.{}
                  WHERE storage_id = $2::bigint)",
        tables.links
    );
    Ok(tx.query_one(&text, &[&storage_id, &host_id]).await?.get::<_, Option<bool>>(0).unwrap_or_default())
}

/// Makes the ledger agree with the links in these places.
async fn write(tx: &Transaction<'_>, storage_id: i64, differences: &[Row]) -> Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = differences.iter().map(|row| row.get("key")).collect();
    let indexes: Vec<i32> = differences.iter().map(|row| row.get("row_index")).collect();
    let tasks: Vec<Option<i64>> = differences.iter().map(|row| row.get("task_id")).collect();
    // Rows without a link, and those without a task whose object has one now.
    let text = "DELETE FROM objects o USING unnest($2::text[], $3::int[], $4::bigint[]) l(key, row_index, task_id)
                 WHERE o.storage_id = $1 AND o.key = l.key COLLATE \"C\" AND o.row_index = l.row_index
                   AND (l.task_id IS NULL OR o.task_id IS NULL)";
    tx.execute(text, &[&storage_id, &keys, &indexes, &tasks]).await?;
    // Label Studio may link a key twice. The object's version is not known: a later sync does not compare it.
    let text = "INSERT INTO objects (storage_id, key, row_index, task_id, size, sync_id)
                SELECT $1::bigint, l.key, l.row_index, l.task_id, 0, 0
                  FROM unnest($2::text[], $3::int[], $4::bigint[]) l(key, row_index, task_id)
                 WHERE l.task_id IS NOT NULL ORDER BY l.task_id
                    ON CONFLICT DO NOTHING";
    tx.execute(text, &[&storage_id, &keys, &indexes, &tasks]).await?;
    Ok(())
}
