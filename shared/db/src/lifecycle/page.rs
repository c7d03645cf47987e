//! The commit of a page, as far as it concerns the job.
//!
//! A worker commits a page in one transaction: first [`crate::jobs::hold_at`], then the writes of the page, then
//! [`record_page`], and at the end of the range or of the quantum one function of `finish`.
//!
//! A page may commit in parts. Only the last part moves the cursor and counts the listing.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::jobs::{self, Lease, Progress};
use crate::{Result, Transaction};

/// Adds a committed page to its job, and splits the rest of the job's range at `cut_keys`.
///
/// The keys are in ascending order; usually there are none. The job keeps the range up to the first key, and each
/// further part becomes a new job.
///
/// Call [`jobs::hold_at`] first.
pub async fn record_page(
    tx: &Transaction<'_>,
    lease: Lease,
    progress: &Progress<'_>,
    cut_keys: &[String],
) -> Result<()> {
    jobs::advance(tx, lease, progress).await?;
    split(tx, lease, cut_keys).await
}

/// Splits the rest of the job's range. Each part is `(after, until]`, so the parts cover the range exactly once, even
/// if keys are added or deleted meanwhile.
async fn split(tx: &Transaction<'_>, lease: Lease, keys: &[String]) -> Result<()> {
    let Some(first) = keys.first() else { return Ok(()) };
    // Two tables in one round trip: up to 32 new jobs and their messages.
    tx.execute(
        "WITH parent AS (
             SELECT sync_id, kind, range_until FROM jobs WHERE id = $1
         ), kept AS (
             UPDATE jobs SET range_until = $2 WHERE id = $1
         ), cut AS (
             SELECT key, lead(key) OVER (ORDER BY n) AS until FROM unnest($3::text[]) WITH ORDINALITY AS c (key, n)
         ), parts AS (
             INSERT INTO jobs (sync_id, kind, range_after, range_until)
             SELECT parent.sync_id, parent.kind, cut.key, coalesce(cut.until, parent.range_until) FROM cut, parent
          RETURNING id
         )
         INSERT INTO outbox (job_id) SELECT id FROM parts",
        &[&lease.job, first, &keys],
    )
    .await?;
    tx.batch_execute("NOTIFY longshore_outbox").await?;
    Ok(())
}
