//! Cancels a sync with all of its jobs.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::syncs::{self, SyncRow};
use crate::{Result, Transaction, jobs};

/// Cancels a sync and its unfinished jobs. A worker in the middle of a page can no longer commit it.
///
/// Committed pages stay. A sync that has already ended is not changed. Returns the sync's row.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) if the sync does not exist.
pub async fn cancel(tx: &Transaction<'_>, id: i64) -> Result<SyncRow> {
    // Lock jobs before the sync, as every transaction does; otherwise two of them could deadlock.
    jobs::cancel_unfinished(tx, id).await?;
    syncs::cancel(tx, id).await?;
    syncs::notify(tx).await?;
    syncs::get(tx, id).await
}
