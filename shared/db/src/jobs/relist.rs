//! Statements for an import that lists its storage once more, from the beginning.

use super::lease::Lease;
use crate::{Result, Transaction};

/// Gives the job the whole storage as its range, from the beginning. Returns the ID of its sync.
pub(crate) async fn widen(tx: &Transaction<'_>, lease: Lease) -> Result<i64> {
    let text = "UPDATE jobs SET range_after = NULL, range_until = NULL, cursor = NULL WHERE id = $1 RETURNING sync_id";
    Ok(tx.query_one(text, &[&lease.job]).await?.get(0))
}

/// Takes back what the jobs of a sync counted of objects that they only listed: they are counted again. What was made of
/// objects stays.
pub(crate) async fn forget_listing(tx: &Transaction<'_>, sync_id: i64) -> Result<()> {
    tx.execute(
        "UPDATE jobs
            SET listed = 0, matched = matched - existed - still_quarantined, existed = 0, still_quarantined = 0, unchanged = 0,
                skipped_folder = 0, skipped_hadoop = 0, skipped_desktop = 0, skipped_export = 0, skipped_depth = 0,
                skipped_prefix = 0, skipped_regex = 0
          WHERE sync_id = $1",
        &[&sync_id],
    )
    .await?;
    Ok(())
}
