//! Starts a sync of a storage of Label Studio.
//!
//! Label Studio's row of the storage is the lock between its syncs and ours. Both sides lock the row, look at its status,
//! and write `queued`, so only one of them starts.

use longshore_model::{Direction, ExportMode, ExportOptions, FailureReason, StorageKind};

use super::hold::{Held, Holder, hold};
use super::{Handle, deleted, fence, handle, status};
use crate::lifecycle::{self, EnqueuedSync, RequestedBy};
use crate::{Client, Error, Result, Transaction, projects, storages, syncs};

/// A request for a sync of a storage of Label Studio.
#[derive(Debug, Clone, Copy)]
pub struct HostRequest<'a> {
    /// Kind of the storage.
    pub kind: StorageKind,
    /// Direction of the storage.
    pub direction: Direction,
    /// ID of the storage in Label Studio.
    pub host_id: i64,
    /// The projects that the caller may access. A storage of another project is not found. `None` means all.
    pub projects: Option<&'a [i64]>,
    /// ID of the user of Label Studio who requests it. `None` if the caller is none.
    pub user_id: Option<i64>,
    /// The source of the request.
    pub requested_by: RequestedBy,
    /// A key by which a repeated request finds the sync of the first one. `None` if the caller gave none.
    pub idempotency_key: Option<&'a str>,
}

/// The answer to such a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostSync {
    /// The sync, new or live, and its handle's ID.
    Ours {
        /// The sync.
        sync: EnqueuedSync,
        /// ID of the handle in `storages`.
        storage_id: i64,
        /// ID of the project in Label Studio.
        project_id: i64,
    },
    /// A sync of Label Studio itself has the storage, so none was started.
    Theirs,
}

/// Starts a sync of the storage of a handle, as [`enqueue_with`]. `storage_id` is the handle's ID.
///
/// # Errors
/// [`Error::SyncLive`] if Label Studio itself is syncing the storage; else as [`enqueue`].
pub(in crate::host) async fn enqueue_handle(
    tx: &Transaction<'_>,
    storage_id: i64,
    requested_by: RequestedBy,
    idempotency_key: Option<&str>,
    options: &ExportOptions,
) -> Result<EnqueuedSync> {
    let Handle { kind, direction, host_id, .. } = handle(tx, storage_id).await?;
    let request =
        HostRequest { kind, direction, host_id, projects: None, user_id: None, requested_by, idempotency_key };
    match enqueue_with(tx, &request, options).await? {
        HostSync::Ours { sync, .. } => Ok(sync),
        HostSync::Theirs => Err(Error::SyncLive),
    }
}

/// Starts a sync in the caller's transaction, unless one is live. An export writes all annotations, as Label Studio's own
/// does: what Label Studio itself wrote since the last one is not known.
///
/// # Errors
/// [`Error::NotFound`] if the storage does not exist or its project is deleted, [`Error::Conflict`] if it may not start
/// syncs.
pub async fn enqueue(tx: &Transaction<'_>, request: &HostRequest<'_>) -> Result<HostSync> {
    let all = ExportOptions { mode: ExportMode::All, tasks: Vec::new() };
    enqueue_with(tx, request, &all).await
}

/// Starts a sync in the caller's transaction, unless one is live. `options` say what an export writes; an import has none.
///
/// A live sync that lost the storage to Label Studio ends as `taken_over`, unless Label Studio still has it. A live sync
/// that has not taken the storage yet takes it now.
///
/// # Errors
/// As [`enqueue`].
pub async fn enqueue_with(
    tx: &Transaction<'_>,
    request: &HostRequest<'_>,
    options: &ExportOptions,
) -> Result<HostSync> {
    let HostRequest { kind, direction, host_id, projects, .. } = *request;
    let missing = || Error::NotFound(format!("{kind} {direction} storage {host_id}"));
    let named = Handle { kind, direction, host_id, capabilities: None };
    let held = hold(tx, &named).await?.ok_or_else(missing)?;
    let project_id = held.storage.project_id;
    if projects.is_some_and(|projects| !projects.contains(&project_id)) {
        return Err(missing());
    }
    check_synchronizable(&held, host_id)?;
    match held.holder {
        Holder::Theirs => return Ok(HostSync::Theirs),
        // Users still see it as running, so it answers them, as a live one does. Other requests are for what came since.
        Holder::Ending { storage_id, sync_id } if request.requested_by == RequestedBy::Api => {
            let sync = EnqueuedSync { sync_id, created: false };
            return Ok(HostSync::Ours { sync, storage_id, project_id });
        }
        Holder::Ours | Holder::Ending { .. } | Holder::Free => {}
    }
    let storage_id = write_handle(tx, &held, &named).await?;
    if let Some(lost) = held.lost {
        lifecycle::fail(tx, lost, FailureReason::TakenOver).await?;
    }
    let options = (direction == Direction::Export).then_some(options);
    let sync = lifecycle::enqueue(tx, storage_id, request.requested_by, request.idempotency_key, options).await?;
    if sync.created || held.waiting == Some(sync.sync_id) {
        take(tx, &held, host_id, sync.sync_id, request.user_id).await?;
    }
    Ok(HostSync::Ours { sync, storage_id, project_id })
}

/// Takes the storage for a sync that has not taken it yet, as those that SQL asks for. Does nothing for other syncs, and
/// for one that has ended.
///
/// # Errors
/// [`Error::SyncLive`] if Label Studio itself is syncing the storage, [`Error::Deleted`] if the storage or its project is
/// deleted, [`Error::Conflict`] if it may not start syncs.
pub(super) async fn take_waiting(client: &mut Client, storage_id: i64, sync_id: i64) -> Result<()> {
    let tx = client.transaction().await?;
    let named = handle(&tx, storage_id).await?;
    let held = hold(&tx, &named).await?.ok_or_else(|| deleted(&named))?;
    if held.waiting != Some(sync_id) {
        return Ok(());
    }
    check_synchronizable(&held, named.host_id)?;
    if held.holder == Holder::Theirs {
        return Err(Error::SyncLive);
    }
    write_handle(&tx, &held, &named).await?;
    take(&tx, &held, named.host_id, sync_id, None).await?;
    Ok(tx.commit().await?)
}

fn check_synchronizable(held: &Held, host_id: i64) -> Result<()> {
    if held.storage.synchronizable {
        Ok(())
    } else {
        Err(Error::Conflict(format!("Storage {host_id} is not synchronizable")))
    }
}

/// Makes the handle of a storage, or brings it up to date. Returns its ID.
async fn write_handle(tx: &Transaction<'_>, held: &Held, named: &Handle) -> Result<i64> {
    let storage = &held.storage;
    // The foreign key of handles needs a row. The project itself is Label Studio's.
    projects::stand_in(tx, storage.project_id).await?;
    let handle = storages::Handle {
        project_id: storage.project_id,
        kind: named.kind,
        direction: named.direction,
        title: storage.title.as_deref(),
        settings: &storage.settings,
        host_id: named.host_id,
    };
    storages::write_handle(tx, &handle).await
}

/// Gives the storage to a sync: the sync keeps what it needs to know of it, and Label Studio's row gets the sync's mark.
async fn take(tx: &Transaction<'_>, held: &Held, host_id: i64, sync_id: i64, user_id: Option<i64>) -> Result<()> {
    let Held { tables, storage, .. } = held;
    syncs::keep_host_values(tx, sync_id, &storage.settings, storage.project_id, user_id).await?;
    let created_at = syncs::get(tx, sync_id).await?.created_at;
    status::queue(tx, tables, host_id, storage, &fence::mark(created_at)).await
}
