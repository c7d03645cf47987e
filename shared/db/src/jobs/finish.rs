//! How an attempt ends, and how it gives parts of its range away. Each is called in the transaction that holds the job.

use std::time::Duration;

use longshore_model::{FailureReason, JobState};

use super::fence::Lease;
use crate::{Result, Transaction, syncs};

/// Ends the job as completed; the last job of a sync closes the sync in the same transaction.
///
/// # Errors
/// The database is unavailable. Call [`super::hold`] first.
pub async fn complete(tx: &Transaction<'_>, lease: Lease) -> Result<()> {
    finish(tx, lease, JobState::Completed, None).await
}

/// Discards the job for a reason that a user understands; its sync fails with that reason.
///
/// # Errors
/// The database is unavailable. Call [`super::hold`] first.
pub async fn discard(tx: &Transaction<'_>, lease: Lease, reason: FailureReason, detail: &str) -> Result<()> {
    finish(tx, lease, JobState::Discarded, Some((reason, detail))).await
}

async fn finish(tx: &Transaction<'_>, lease: Lease, state: JobState, why: Option<(FailureReason, &str)>) -> Result<()> {
    let (reason, detail) = why.unzip();
    let statement = tx
        .prepare_cached(
            "UPDATE jobs SET state = $2, lease_until = NULL, process = NULL, finished_at = now(), reason = $3, detail = $4
              WHERE id = $1 RETURNING sync_id",
        )
        .await?;
    let reason = reason.map(FailureReason::as_str);
    let row = tx.query_one(&statement, &[&lease.job, &state.as_str(), &reason, &detail]).await?;
    syncs::close_if_done(tx, row.get(0), why).await
}

/// Puts the job at the back of the queue, due after `delay`: its quantum is used, its worker drains, or the database
/// was unavailable for a while. Not a failure.
///
/// # Errors
/// The database is unavailable. Call [`super::hold`] first.
pub async fn release(tx: &Transaction<'_>, lease: Lease, delay: Duration) -> Result<()> {
    requeue(tx, lease, JobState::Available, delay, 0, None).await
}

/// Lets the job wait until `delay` has passed, after a transient failure.
///
/// # Errors
/// The database is unavailable. Call [`super::hold`] first.
pub async fn retry_later(
    tx: &Transaction<'_>,
    lease: Lease,
    delay: Duration,
    reason: FailureReason,
    detail: &str,
) -> Result<()> {
    requeue(tx, lease, JobState::Retryable, delay, 1, Some((reason, detail))).await
}

async fn requeue(
    tx: &Transaction<'_>,
    lease: Lease,
    state: JobState,
    delay: Duration,
    failures: i32,
    why: Option<(FailureReason, &str)>,
) -> Result<()> {
    let (reason, detail) = why.unzip();
    let statement = tx
        .prepare_cached(
            "WITH requeued AS (
                 UPDATE jobs
                    SET state = $2, lease_until = NULL, leased_by = NULL, process = NULL, lost_alone = 0,
                        failures = failures + $4, due_at = now() + $3::float8 * interval '1 second', reason = $5, detail = $6
                  WHERE id = $1
              RETURNING id, due_at
             )
             INSERT INTO outbox (job_id, due_at) SELECT id, due_at FROM requeued
                 ON CONFLICT (job_id) DO UPDATE SET due_at = excluded.due_at",
        )
        .await?;
    let reason = reason.map(FailureReason::as_str);
    tx.execute(&statement, &[&lease.job, &state.as_str(), &delay.as_secs_f64(), &failures, &reason, &detail]).await?;
    if delay.is_zero() {
        tx.batch_execute("NOTIFY longshore_outbox").await?;
    }
    Ok(())
}

/// Cuts the rest of the job's range at these keys, in ascending order: the job keeps what lies up to
/// the first, each further part becomes a new job.
///
/// The parts cover the range exactly once, whatever keys come and go meanwhile: each is "after this
/// key, up to and with that one". Call [`super::hold`] first.
///
/// # Errors
/// The database is unavailable.
pub async fn split(tx: &Transaction<'_>, lease: Lease, keys: &[String]) -> Result<()> {
    let Some(first) = keys.first() else { return Ok(()) };
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
