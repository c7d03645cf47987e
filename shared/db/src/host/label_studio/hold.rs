//! Locks a storage of Label Studio for a request, and says which sync has it.
//!
//! Locks are taken in this order: the handle, as the reporter takes it before Label Studio's row; the jobs of a sync that
//! is to end, as a page holds its job before that row; Label Studio's row.

use jiff::Timestamp;

use super::storage::{self, HostStorage, Lock};
use super::tables::StorageTables;
use super::{Handle, fence, status};
use crate::syncs::HostLive;
use crate::{Result, Transaction, jobs, storages, syncs};

/// Which sync has a storage of Label Studio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// One of Label Studio itself.
    Theirs,
    /// The live one of ours.
    Ours,
    /// One of ours that has ended. Its end is not shown yet, so users still see it as running.
    Ending {
        /// ID of the handle.
        storage_id: i64,
        /// ID of the sync.
        sync_id: i64,
    },
    /// None.
    Free,
}

/// A locked storage.
pub(super) struct Held {
    pub(super) tables: StorageTables,
    pub(super) storage: HostStorage,
    pub(super) holder: Holder,
    /// ID of the live sync of ours that has not taken the storage yet, as those that SQL asks for.
    pub(super) waiting: Option<i64>,
    /// ID of the live sync of ours that lost the storage to Label Studio. It can only end.
    pub(super) lost: Option<i64>,
}

/// Locks a storage until the transaction ends. `None` if it does not exist or its project is deleted.
pub(super) async fn hold(tx: &Transaction<'_>, named: &Handle) -> Result<Option<Held>> {
    let Handle { kind, direction, host_id, .. } = *named;
    let Some(tables) = StorageTables::of(kind, direction) else { return Ok(None) };
    let handle = storages::lock_handle(tx, kind, direction, host_id).await?;
    let live = match handle {
        Some(id) => syncs::live_of_host(tx, id).await?,
        None => None,
    };
    if let Some(live) = live.filter(|live| live.is_begun) {
        let seen = storage::read(tx, kind, direction, host_id, Lock::None).await?;
        if seen.is_some_and(|seen| !has(&seen, &live)) {
            jobs::lock_unfinished(tx, live.id).await?;
        }
    }
    let Some(storage) = storage::read(tx, kind, direction, host_id, Lock::ForUpdate).await? else { return Ok(None) };
    let is_ours = live.is_some_and(|live| has(&storage, &live));
    let holder = if is_ours { Holder::Ours } else { other_holder(tx, handle, &storage, live.is_some()).await? };
    let lost = live.filter(|live| live.is_begun && !is_ours).map(|live| live.id);
    let waiting = live.filter(|live| !live.is_begun).map(|live| live.id);
    Ok(Some(Held { tables, storage, holder, waiting, lost }))
}

fn has(storage: &HostStorage, live: &HostLive) -> bool {
    live.is_begun && status::is_of(storage, &fence::mark(live.created_at))
}

/// Which sync has a storage that no live one of ours has.
async fn other_holder(
    tx: &Transaction<'_>,
    handle: Option<i64>,
    storage: &HostStorage,
    is_live: bool,
) -> Result<Holder> {
    if let Some(storage_id) = handle
        && let Some((sync_id, created_at)) = syncs::ending(tx, storage_id).await?
        && status::is_of(storage, &fence::mark(created_at))
    {
        // A live one follows it, and shows its own status.
        return Ok(if is_live { Holder::Free } else { Holder::Ending { storage_id, sync_id } });
    }
    Ok(if status::is_taken(storage, Timestamp::now()) { Holder::Theirs } else { Holder::Free })
}
