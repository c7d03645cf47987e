//! Removes a storage with all of its syncs and jobs.
//!
//! Tables with millions of rows have no foreign keys, because the check of a copied row costs as much as the copy. The
//! fence protects them instead: a page holds its job's row, and the removal first waits for all jobs of the storage.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::{Result, Transaction, exports, jobs, objects, quarantine, storages};

/// Removes a storage of a project with its syncs, ledger, exports and quarantine. Tasks and the objects in the bucket stay.
///
/// Returns false if the project has no such storage, because it was removed or moved meanwhile. Waits for running commits of pages. Later no page can commit, because its job is
/// deleted, so no rows are left behind.
pub async fn remove_storage(tx: &Transaction<'_>, id: i64, project_id: i64) -> Result<bool> {
    // Deleting a ledger of ten million rows takes longer than the usual limit for a statement.
    tx.batch_execute("SET LOCAL statement_timeout = 0").await?;
    // Lock jobs before their storage: a page that commits holds its job's row.
    jobs::lock_of_storage(tx, id).await?;
    // Foreign keys delete its syncs, jobs and outbox rows.
    if !storages::delete(tx, id, project_id).await? {
        return Ok(false);
    }
    objects::delete_of_storage(tx, id).await?;
    exports::delete_of_storage(tx, id).await?;
    quarantine::delete_of_storage(tx, id).await?;
    Ok(true)
}
