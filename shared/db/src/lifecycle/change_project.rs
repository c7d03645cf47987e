//! What a storage leaves behind when it moves to another project.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::{Result, Transaction, quarantine, storages, syncs};

/// Removes the syncs and the quarantine of a storage that moves to another project, and the status of its last sync.
///
/// All of these are about data of the project that it leaves. Its ledger stays, so that it does not import objects twice.
///
/// Returns false, and the caller must roll back, if a sync is live or its end was not reported yet: a sync keeps the
/// project of its start, but would continue with credentials of the new one. The caller has updated the storage in this
/// transaction, so no sync can start meanwhile.
pub async fn leave_project(tx: &Transaction<'_>, storage_id: i64) -> Result<bool> {
    if !syncs::delete_ended(tx, storage_id).await? {
        return Ok(false);
    }
    quarantine::delete_of_storage(tx, storage_id).await?;
    storages::clear_status(tx, storage_id).await?;
    Ok(true)
}
