//! Adds a last job to a sync that would close otherwise.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::{Result, Transaction};

/// Adds a job to a sync that would close now, if there is work that only its end can do: a delete job to an export
/// during which annotations were deleted, and to an import a job that tries refused objects again.
///
/// Returns true if it did; then the sync must stay open. The caller must have locked the sync's row.
pub(super) async fn add(tx: &Transaction<'_>, sync_id: i64) -> Result<bool> {
    if tx.execute(include_str!("late_jobs.sql"), &[&sync_id]).await? == 0 {
        return Ok(false);
    }
    tx.batch_execute("NOTIFY longshore_outbox").await?;
    Ok(true)
}
