//! Removing a storage, and with it all of its syncs and jobs.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::{Result, Transaction, exports, jobs, objects, quarantine, storages};

/// Removes a storage with its syncs, ledger, exports and quarantine; tasks and bucket objects stay.
///
/// Returns false if there is none. It waits for a page that is being committed, and no page can commit afterwards:
/// its job is removed, so nothing is written that would stay behind.
pub async fn remove_storage(tx: &Transaction<'_>, id: i64) -> Result<bool> {
    // A ledger of ten million rows takes longer than a statement otherwise may.
    tx.batch_execute("SET LOCAL statement_timeout = 0").await?;
    // Jobs before their storage, as every page locks them.
    jobs::lock_of_storage(tx, id).await?;
    // Its syncs, jobs and outbox rows go with it, by their foreign keys.
    if !storages::delete(tx, id).await? {
        return Ok(false);
    }
    objects::delete_of_storage(tx, id).await?;
    exports::delete_of_storage(tx, id).await?;
    quarantine::delete_of_storage(tx, id).await?;
    Ok(true)
}
