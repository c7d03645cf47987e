//! Ends of syncs that an edit in Label Studio has overwritten.
//!
//! When a user edits a storage, Label Studio writes all its columns with the values that it read before. If a sync of ours ends
//! in between, its end is lost: the storage looks busy until Label Studio takes it for dead and shows it as failed, and users
//! cannot tell that its tasks are there.

use super::tables::{StorageTables, every_kind};
use super::{handle, status, tables};
use crate::{Client, GenericClient, Result, syncs};

/// IDs of ended and shown syncs whose storages do not look like that. Storages that Label Studio itself syncs, or whose own
/// sync failed, are among them, and keep their status.
///
/// # Errors
/// The database is unavailable.
pub async fn overwritten_ends(client: &impl GenericClient) -> Result<Vec<i64>> {
    let mut ended = Vec::new();
    for (kind, direction, StorageTables { storages, id, .. }) in every_kind() {
        let text = format!(
            "SELECT y.id FROM public.{storages} s
               JOIN storages h ON h.kind = $1 AND h.direction = $2 AND h.host_id = s.{id}
              CROSS JOIN LATERAL (SELECT * FROM syncs WHERE storage_id = h.id ORDER BY id DESC LIMIT 1) y
              WHERE y.finished_at IS NOT NULL AND y.reported_at IS NOT NULL AND NOT y.effects_due
                AND (s.status IN ('queued', 'in_progress')
                     OR s.status = 'failed' AND y.status NOT IN ('failed', 'cancelled'))"
        );
        let statement = client.prepare_cached(&text).await?;
        let rows = client.query(&statement, &[&kind.as_str(), &direction.as_str()]).await?;
        ended.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
    }
    Ok(ended)
}

/// Shows the end of a sync again, unless its storage has another one since.
///
/// # Errors
/// The database is unavailable.
pub async fn show_end(client: &mut Client, sync_id: i64) -> Result<()> {
    let tx = client.transaction().await?;
    let sync = syncs::get(&tx, sync_id).await?;
    let Some(storage_id) = sync.storage_id else { return Ok(()) };
    let handle = handle(&tx, storage_id).await?;
    status::show(&tx, &tables(&handle)?, handle.host_id, &sync).await?;
    tx.commit().await?;
    Ok(())
}
