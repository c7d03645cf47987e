//! The progress of a job, page by page.

use std::time::Duration;

use super::lease::Lease;
use crate::{Counts, Result, Transaction};

/// What a committed page adds to its job.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// New length of the lease, from the time of the commit.
    pub extend_by: Duration,
    /// Where the next page starts. `None`, for a part of a page, leaves the cursor where it is.
    pub cursor: Option<&'a str>,
    /// What the page did; added to the job's counters.
    pub counts: &'a Counts,
    /// Whether to reset the failures in a row and the wait. False if no object of the page could be moved.
    pub is_progress: bool,
    /// Keys that the page finished without losing its worker. They are no longer suspect.
    pub passed_keys: i32,
}

/// Adds counts and moves the cursor. The parameters are those of [`advance`], in this order.
const ADVANCE: &str = "UPDATE jobs
                SET cursor = coalesce($2, cursor), failures = CASE WHEN $18 THEN 0 ELSE failures END,
                    commits = commits + 1, lease_until = now() + $19::float8 * interval '1 second', losses = 0,
                    waiting_for = CASE WHEN $18 THEN NULL ELSE waiting_for END,
                    waiting_since = CASE WHEN $18 THEN NULL ELSE waiting_since END,
                    waiting_error = CASE WHEN $18 THEN NULL ELSE waiting_error END,
                    lost_alone = 0, lone_key = NULL, suspects = CASE WHEN $20 < suspects THEN suspects - $20 END,
                    pages = pages + $3, listed = listed + $4, matched = matched + $5, imported = imported + $6,
                    existed = existed + $7, quarantined = quarantined + $8,
                    still_quarantined = still_quarantined + $9, vanished = vanished + $10, created = created + $11,
                    exported = exported + $12, unchanged = unchanged + $13, deleted = deleted + $14,
                    kept = kept + $15, failed = failed + $16, bytes = bytes + $17,
                    skipped_folder = skipped_folder + $21, skipped_hadoop = skipped_hadoop + $22,
                    skipped_desktop = skipped_desktop + $23, skipped_export = skipped_export + $24,
                    skipped_depth = skipped_depth + $25, skipped_prefix = skipped_prefix + $26,
                    skipped_regex = skipped_regex + $27,
                    deleted_tasks = deleted_tasks + $28, deleted_annotations = deleted_annotations + $29,
                    forgotten = forgotten + $30
              WHERE id = $1";

/// Adds a committed page to the job: its counts, and where the next page starts. Extends the lease.
///
/// Every commit resets the losses, and progress ends every wait. Call [`super::hold_at`] first.
pub(crate) async fn advance(tx: &Transaction<'_>, lease: Lease, progress: &Progress<'_>) -> Result<()> {
    let counts = progress.counts;
    let statement = tx.prepare_cached(ADVANCE).await?;
    tx.execute(
        &statement,
        &[
            &lease.job,
            &progress.cursor,
            &counts.pages,
            &counts.listed,
            &counts.matched,
            &counts.imported,
            &counts.existed,
            &counts.quarantined,
            &counts.still_quarantined,
            &counts.vanished,
            &counts.created,
            &counts.exported,
            &counts.unchanged,
            &counts.deleted,
            &counts.kept,
            &counts.failed,
            &counts.bytes,
            &progress.is_progress,
            &progress.extend_by.as_secs_f64(),
            &progress.passed_keys,
            &counts.skipped.folder,
            &counts.skipped.hadoop,
            &counts.skipped.desktop,
            &counts.skipped.export,
            &counts.skipped.depth,
            &counts.skipped.prefix,
            &counts.skipped.regex,
            &counts.deleted_tasks,
            &counts.deleted_annotations,
            &counts.forgotten,
        ],
    )
    .await?;
    Ok(())
}
