//! The second beginning of an import whose storage does not list as it was relied on.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use super::release;
use crate::jobs::{self, Lease};
use crate::{Result, Transaction};

/// Makes the job list the whole storage from its beginning, at once.
///
/// Cancels the other jobs of its sync, whose ranges mean nothing any more. The tasks that they made stay, and the ledger
/// knows their objects.
///
/// Lock the job first, in the same transaction, with [`jobs::hold`].
pub async fn relist(tx: &Transaction<'_>, lease: Lease) -> Result<()> {
    let sync = jobs::widen(tx, lease).await?;
    jobs::cancel_others(tx, sync, lease.job).await?;
    jobs::forget_listing(tx, sync).await?;
    release(tx, lease, std::time::Duration::ZERO).await
}
