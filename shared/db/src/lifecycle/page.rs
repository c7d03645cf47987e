//! What the commit of a page does to its job.
//!
//! A page is one transaction of the worker: [`crate::jobs::hold_at`] first, then what the page writes, then
//! [`record_page`], and at the end of the range or of the quantum one function of `finish`.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::jobs::{self, Lease, Progress};
use crate::{Result, Transaction};

/// Adds a committed page to its job, and cuts the rest of the job's range at `cut_keys` (in ascending order, mostly
/// none): the job keeps what lies up to the first, each further part becomes a new job.
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

/// Cuts the rest of the job's range. The parts cover it exactly once, whatever keys come and go meanwhile: each is
/// "after this key, up to and with that one".
async fn split(tx: &Transaction<'_>, lease: Lease, keys: &[String]) -> Result<()> {
    let Some(first) = keys.first() else { return Ok(()) };
    // One statement, though it writes two tables: up to 32 new jobs and their messages in one round trip, in the
    // transaction of a page.
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
