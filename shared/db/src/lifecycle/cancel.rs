//! Cancelling a sync with all of its jobs.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::syncs::{self, SyncRow};
use crate::{Result, Transaction, jobs};

/// Cancels a sync at once: its jobs end, and a worker in the middle of a page can no longer commit it.
///
/// What was committed stays. A sync that has already ended is returned as it is.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) without such a sync.
pub async fn cancel(tx: &Transaction<'_>, id: i64) -> Result<SyncRow> {
    // Jobs before the sync, as every other transaction locks them.
    jobs::cancel_unfinished(tx, id).await?;
    syncs::cancel(tx, id).await?;
    syncs::notify(tx).await?;
    syncs::get(tx, id).await
}
