//! Brings the ledger of a storage into agreement with Label Studio's links, which are the truth about known keys.
//!
//! Label Studio's own syncs add links, and a deleted task takes its link along, so its object comes back with the next
//! sync. The links have no index on their keys, so they are read once at the start of a sync, and never key by key.

use super::tables::StorageTables;
use crate::{GenericClient, Result};

/// Adds ledger rows for links that the ledger lacks, and removes those without a link. An object without items has no
/// task; its row stays unless Label Studio has imported the object since then.
pub(super) async fn adopt(
    client: &impl GenericClient,
    tables: &StorageTables,
    storage_id: i64,
    host_id: i64,
) -> Result<()> {
    let gone = format!(
        "DELETE FROM objects o WHERE o.storage_id = $1
            AND (o.task_id IS NULL) = EXISTS (
                SELECT FROM public.{links} l WHERE l.storage_id = $2::bigint
                   AND l.key COLLATE \"C\" = o.key AND coalesce(l.row_index, 0) = o.row_index)",
        links = tables.links
    );
    client.execute(&gone, &[&storage_id, &host_id]).await?;
    let unknown = format!(
        "INSERT INTO objects (storage_id, key, row_index, task_id, size, sync_id)
         SELECT DISTINCT ON (l.key COLLATE \"C\", coalesce(l.row_index, 0))
                $1, l.key, coalesce(l.row_index, 0), l.task_id, 0, 0
           FROM public.{links} l
          WHERE l.storage_id = $2::bigint
            AND NOT EXISTS (SELECT FROM objects o WHERE o.storage_id = $1 AND o.key = l.key COLLATE \"C\"
                               AND o.row_index = coalesce(l.row_index, 0))
          ORDER BY l.key COLLATE \"C\", coalesce(l.row_index, 0), l.id
             ON CONFLICT DO NOTHING",
        links = tables.links
    );
    client.execute(&unknown, &[&storage_id, &host_id]).await?;
    Ok(())
}
