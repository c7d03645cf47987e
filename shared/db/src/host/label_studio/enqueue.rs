//! Starts a sync of a storage of Label Studio.
//!
//! Label Studio's row of the storage is the lock between its syncs and ours. Both sides lock the row, look at its status,
//! and write `queued`, so only one of them starts.

use jiff::Timestamp;
use longshore_model::{Direction, ExportMode, ExportOptions, StorageKind};

use super::storage::{self, Lock};
use super::tables::StorageTables;
use super::{fence, status};
use crate::lifecycle::{self, EnqueuedSync, RequestedBy};
use crate::storages::Handle;
use crate::{Error, Result, Transaction, projects, storages, syncs};

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

/// Starts another sync of the storage of a sync, in the caller's transaction, unless one is live.
///
/// # Errors
/// [`Error::NotFound`] if the sync or the storage does not exist; else as [`enqueue`].
pub async fn retry(tx: &Transaction<'_>, sync_id: i64) -> Result<HostSync> {
    let sync = syncs::get(tx, sync_id).await?;
    let storage = storages::get(tx, sync.storage_id).await?;
    let missing = || Error::NotFound(format!("storage {} of Label Studio", sync.storage_id));
    let request = HostRequest {
        kind: storage.kind,
        direction: storage.direction,
        host_id: storage.host_id.ok_or_else(missing)?,
        projects: None,
        user_id: None,
        idempotency_key: None,
    };
    enqueue_with(tx, &request, &sync.options.unwrap_or_default()).await
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
/// # Errors
/// As [`enqueue`].
pub async fn enqueue_with(
    tx: &Transaction<'_>,
    request: &HostRequest<'_>,
    options: &ExportOptions,
) -> Result<HostSync> {
    let HostRequest { kind, direction, host_id, projects, .. } = *request;
    let missing = || Error::NotFound(format!("{kind} {direction} storage {host_id}"));
    let tables = StorageTables::of(kind, direction).ok_or_else(missing)?;
    // In the order of the reporter, which locks the handle and then writes Label Studio's row.
    storages::lock_handle(tx, kind, direction, host_id).await?;
    let storage = storage::read(tx, kind, direction, host_id, Lock::ForUpdate).await?.ok_or_else(missing)?;
    if projects.is_some_and(|projects| !projects.contains(&storage.project_id)) {
        return Err(missing());
    }
    if !storage.synchronizable {
        return Err(Error::Conflict(format!("Storage {host_id} is not synchronizable")));
    }
    let row = tx
        .query_opt(
            "SELECT s.id, (SELECT y.created_at FROM syncs y WHERE y.storage_id = s.id AND y.finished_at IS NULL) AS live_since
               FROM storages s WHERE s.kind = $1 AND s.direction = $2 AND s.host_id = $3",
            &[&kind.as_str(), &direction.as_str(), &host_id],
        )
        .await?;
    let live_since: Option<Timestamp> = row.as_ref().and_then(|row| row.get("live_since"));
    let is_ours = live_since.is_some_and(|since| status::is_of(&storage, &fence::mark(since)));
    if let Some(row) = row.as_ref().filter(|_| !is_ours) {
        let storage_id: i64 = row.get("id");
        // Users still see it as running, so it answers the request, as a live one does.
        if let Some(sync_id) = syncs::ending(tx, storage_id).await? {
            let sync = EnqueuedSync { sync_id, created: false };
            return Ok(HostSync::Ours { sync, storage_id, project_id: storage.project_id });
        }
    }
    if !is_ours && status::is_taken(&storage, Timestamp::now()) {
        return Ok(HostSync::Theirs);
    }
    // The foreign key of handles needs a row. The project itself is Label Studio's.
    projects::stand_in(tx, storage.project_id).await?;
    let handle = Handle {
        project_id: storage.project_id,
        kind,
        direction,
        title: storage.title.as_deref(),
        settings: &storage.settings,
        host_id,
    };
    let storage_id = storages::write_handle(tx, &handle).await?;
    let options = (direction == Direction::Export).then_some(options);
    let sync = lifecycle::enqueue(tx, storage_id, RequestedBy::Api, request.idempotency_key, options).await?;
    if sync.created {
        syncs::keep_host_values(tx, sync.sync_id, &storage.settings, storage.project_id, request.user_id).await?;
        let created_at = syncs::get(tx, sync.sync_id).await?.created_at;
        status::queue(tx, &tables, host_id, &storage, &fence::mark(created_at)).await?;
    }
    Ok(HostSync::Ours { sync, storage_id, project_id: storage.project_id })
}
