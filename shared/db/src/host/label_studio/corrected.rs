//! Ends of syncs that an edit in Label Studio has overwritten.
//!
//! When a user edits a storage, Label Studio writes all its columns with the values that it read before. If a sync of ours ends
//! in between, its end is lost: the storage looks busy, and nobody syncs it.

use super::tables::{StorageTables, every_kind};
use super::{handle, status, tables};
use crate::{Client, GenericClient, Result, syncs};

/// Shows the ends of syncs again whose storages look live. Returns how many look so; those that Label Studio itself syncs are
/// among them, and keep their status.
///
/// # Errors
/// The database is unavailable.
pub async fn correct_ends(client: &mut Client) -> Result<usize> {
    let mut ended: Vec<i64> = Vec::new();
    for (kind, direction, StorageTables { storages, id, .. }) in every_kind() {
        let text = format!(
            "SELECT y.id FROM public.{storages} s
               JOIN storages h ON h.kind = $1 AND h.direction = $2 AND h.host_id = s.{id}
              CROSS JOIN LATERAL (SELECT * FROM syncs WHERE storage_id = h.id ORDER BY id DESC LIMIT 1) y
              WHERE s.status IN ('queued', 'in_progress')
                AND y.finished_at IS NOT NULL AND y.reported_at IS NOT NULL AND NOT y.effects_due"
        );
        let statement = client.prepare_cached(&text).await?;
        let rows = client.query(&statement, &[&kind.as_str(), &direction.as_str()]).await?;
        ended.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
    }
    for id in &ended {
        let tx = client.transaction().await?;
        let sync = syncs::get(&tx, *id).await?;
        let handle = handle(&tx, sync.storage_id).await?;
        status::show(&tx, &tables(&handle)?, handle.host_id, &sync).await?;
        tx.commit().await?;
    }
    Ok(ended.len())
}
