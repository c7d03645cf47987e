//! Whether a storage of Label Studio still has our sync.
//!
//! After 25 s without a heartbeat, Label Studio takes a sync for dead, and its own sync may start. If ours was only frozen,
//! it must write nothing more: both would import the same keys. Each sync, ours and theirs, writes the time when it was
//! queued to `meta`. In ours that is the time of the row in `syncs`, so a storage with another time has another sync.

use jiff::Timestamp;

use super::tables::StorageTables;
use crate::host::host_time;
use crate::{Error, Result, Transaction};

/// The value of `meta.time_queued` while the storage has the sync that was created then.
pub(super) fn mark(created_at: Timestamp) -> String {
    host_time(created_at)
}

/// Keeps Label Studio from starting a sync, and from deleting the storage, until the transaction ends. It locks the row for
/// update before it does. Returns false if the storage was deleted.
///
/// # Errors
/// [`Error::TakenOver`] if it has started one.
pub(super) async fn hold(tx: &Transaction<'_>, tables: &StorageTables, id: i64, mark: &str) -> Result<bool> {
    let text = format!(
        "SELECT coalesce(meta ->> 'time_queued' = $2, false) FROM public.{} WHERE {} = $1::bigint FOR KEY SHARE",
        tables.storages, tables.id
    );
    let statement = tx.prepare_cached(&text).await?;
    let Some(row) = tx.query_opt(&statement, &[&id, &mark]).await? else { return Ok(false) };
    if row.get(0) { Ok(true) } else { Err(Error::TakenOver) }
}
