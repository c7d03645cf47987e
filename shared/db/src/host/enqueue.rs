//! Enqueues syncs of storages that a request names by their ID in `storages`, as each host requires.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use longshore_model::ExportOptions;

use super::{HostKind, label_studio};
use crate::lifecycle::{self, EnqueuedSync, RequestedBy};
use crate::{Error, Result, Transaction, syncs};

/// Enqueues a sync in the caller's transaction, unless one is live. `options` say what an export writes; `None` means the
/// defaults.
///
/// # Errors
/// [`Error::NotFound`] if the storage does not exist, [`Error::Conflict`] if it may not start syncs, [`Error::SyncLive`] if
/// Label Studio itself is syncing it.
pub async fn enqueue(
    tx: &Transaction<'_>,
    host: HostKind,
    storage_id: i64,
    requested_by: RequestedBy,
    idempotency_key: Option<&str>,
    options: Option<&ExportOptions>,
) -> Result<EnqueuedSync> {
    match host {
        HostKind::Native => lifecycle::enqueue(tx, storage_id, requested_by, idempotency_key, options).await,
        HostKind::LabelStudio => {
            let options = options.cloned().unwrap_or_default();
            label_studio::enqueue_handle(tx, storage_id, requested_by, idempotency_key, &options).await
        }
    }
}

/// Enqueues a sync of the same storage with the same options as sync `id`.
///
/// # Errors
/// [`Error::NotFound`] if the sync does not exist, [`Error::Conflict`] if its options cannot be read; else as
/// [`enqueue()`].
pub async fn retry(tx: &Transaction<'_>, host: HostKind, id: i64) -> Result<EnqueuedSync> {
    let sync = syncs::get(tx, id).await?;
    let Some(storage_id) = sync.storage_id.filter(|_| sync.deletion.is_none()) else {
        return Err(Error::Conflict(format!("Sync {id} deleted tasks. Request the deletion again.")));
    };
    let Some(options) = &sync.options else {
        return Err(Error::Conflict(format!("The options of sync {id} cannot be read. Start a new sync.")));
    };
    enqueue(tx, host, storage_id, RequestedBy::Retry, None, Some(options)).await
}
