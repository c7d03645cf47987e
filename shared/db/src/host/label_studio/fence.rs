//! Whether a storage of Label Studio still has our sync.
//!
//! After 25 s without a heartbeat, Label Studio takes a sync for dead, and its own sync may start. If ours was only frozen,
//! it must write nothing more: both would import the same keys. Each sync, ours and theirs, writes the time when it was
//! queued to `meta`. In ours that is the time of the row in `syncs`, so a storage with another time has another sync.

use jiff::Timestamp;

use super::tables::StorageTables;
use super::{Handle, deleted};
use crate::host::{JobStorage, host_time};
use crate::{Error, GenericClient, Result, Transaction};

/// The value of `meta.time_queued` while the storage has the sync that was created then.
pub(super) fn mark(created_at: Timestamp) -> String {
    host_time(created_at)
}

/// Keeps Label Studio from starting a sync, and from deleting the storage, until the transaction ends. It locks the row for
/// update before it does. Returns false if the storage was deleted.
///
/// # Errors
/// [`Error::TakenOver`] if it has started one.
async fn hold(tx: &Transaction<'_>, tables: &StorageTables, id: i64, mark: &str) -> Result<bool> {
    has_sync(tx, tables, id, mark, "FOR KEY SHARE").await
}

async fn has_sync(
    client: &impl GenericClient,
    tables: &StorageTables,
    id: i64,
    mark: &str,
    lock: &'static str,
) -> Result<bool> {
    let text = format!(
        "SELECT coalesce(meta ->> 'time_queued' = $2, false) FROM public.{} WHERE {} = $1::bigint {lock}",
        tables.storages, tables.id
    );
    let statement = client.prepare_cached(&text).await?;
    let Some(row) = client.query_opt(&statement, &[&id, &mark]).await? else { return Ok(false) };
    if row.get(0) { Ok(true) } else { Err(Error::TakenOver) }
}

/// The same for the project, too.
///
/// # Errors
/// [`Error::TakenOver`], and [`Error::Deleted`] if the storage or the project was deleted.
pub(super) async fn hold_all(
    tx: &Transaction<'_>,
    tables: &StorageTables,
    handle: &Handle,
    storage: &JobStorage,
) -> Result<()> {
    // In this order, as Label Studio deletes: a storage alone, or all storages of a project before it.
    if !hold(tx, tables, handle.host_id, &storage.mark).await? {
        return Err(deleted(handle));
    }
    let text =
        "SELECT FROM public.project p WHERE p.id = $1::bigint AND to_jsonb(p) ->> 'deleted_at' IS NULL FOR KEY SHARE";
    let statement = tx.prepare_cached(text).await?;
    tx.query_opt(&statement, &[&storage.project_id]).await?.ok_or_else(|| deleted(handle))?;
    Ok(())
}

/// Looks whether the storage has our sync, without a lock.
///
/// # Errors
/// [`Error::TakenOver`], and [`Error::Deleted`] if the storage was deleted.
pub(super) async fn check(
    client: &impl GenericClient,
    tables: &StorageTables,
    handle: &Handle,
    mark: &str,
) -> Result<()> {
    if has_sync(client, tables, handle.host_id, mark, "").await? { Ok(()) } else { Err(deleted(handle)) }
}
