//! The ends of an attempt. Callers must first lock the job in the same transaction, with [`jobs::hold`] or
//! [`jobs::hold_at`].
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::time::Duration;

use longshore_model::{FailureReason, JobState};
use tokio_postgres::types::ToSql;

use super::late_job;
use crate::jobs::{self, JobWait, Lease};
use crate::{Result, Transaction, syncs};

/// Ends the job as completed. The last job of a sync closes the sync in the same transaction.
pub async fn complete(tx: &Transaction<'_>, lease: Lease) -> Result<()> {
    finish(tx, lease, JobState::Completed, None).await
}

/// Discards the job. Its sync fails with the same reason; `detail` is the text for users.
pub async fn discard(tx: &Transaction<'_>, lease: Lease, reason: FailureReason, detail: &str) -> Result<()> {
    finish(tx, lease, JobState::Discarded, Some((reason, detail))).await
}

/// Fails a sync at once, for a reason outside of its attempts. A worker in the middle of a page can no longer commit it.
/// Does nothing if the sync has ended.
pub(crate) async fn fail(tx: &Transaction<'_>, sync_id: i64, reason: FailureReason) -> Result<()> {
    close_if_done(tx, sync_id, Some((reason, reason.advice()))).await?;
    syncs::notify(tx).await
}

async fn finish(tx: &Transaction<'_>, lease: Lease, state: JobState, why: Option<(FailureReason, &str)>) -> Result<()> {
    let sync = jobs::end(tx, lease, state, why).await?;
    close_if_done(tx, sync, why).await
}

/// Closes a sync whose last job ended, or fails a sync immediately if a job was discarded.
///
/// If an annotation was deleted during an export, the export closes only after a delete job that started after all
/// objects were written. The annotation's own delete job may have run before its object was written. An import in which
/// the storage refused objects closes only after a job that tried them again.
async fn close_if_done(tx: &Transaction<'_>, sync_id: i64, failure: Option<(FailureReason, &str)>) -> Result<()> {
    if failure.is_some() {
        // Lock jobs before the sync, as every transaction does. Other jobs would only continue a failed sync.
        jobs::cancel_unfinished(tx, sync_id).await?;
    }
    // Two jobs that end at the same time wait here for each other, so the second one sees that the first has ended.
    syncs::lock(tx, sync_id).await?;
    if failure.is_none() && late_job::add(tx, sync_id).await? {
        return Ok(());
    }
    syncs::close(tx, sync_id, failure).await
}

/// Puts the job at the back of the queue, due after `delay`: its quantum is used up, or its worker drains. Not a failure.
pub async fn release(tx: &Transaction<'_>, lease: Lease, delay: Duration) -> Result<()> {
    requeue(tx, lease, JobState::Available, delay, None, None).await
}

/// Puts the job at the back of the queue, due after `delay`, because it waits for something other than its storage. Not a
/// failure.
pub async fn wait_later(tx: &Transaction<'_>, lease: Lease, delay: Duration, wait: &JobWait) -> Result<()> {
    requeue(tx, lease, JobState::Available, delay, None, Some(wait)).await
}

/// Makes the job retryable after `delay`, because of a transient failure. Adds to its failures in a row. `wait` is what
/// the job waits for until a page makes progress.
pub async fn retry_later(
    tx: &Transaction<'_>,
    lease: Lease,
    delay: Duration,
    reason: FailureReason,
    detail: &str,
    wait: Option<&JobWait>,
) -> Result<()> {
    requeue(tx, lease, JobState::Retryable, delay, Some((reason, detail)), wait).await
}

async fn requeue(
    tx: &Transaction<'_>,
    lease: Lease,
    state: JobState,
    delay: Duration,
    failure: Option<(FailureReason, &str)>,
    wait: Option<&JobWait>,
) -> Result<()> {
    // Two tables in one round trip, so that message and job are due at the same time of the same clock.
    let statement = tx
        .prepare_cached(
            "WITH requeued AS (
                 UPDATE jobs
                    SET state = $2, lease_until = NULL, leased_by = NULL, process = NULL, lost_alone = 0,
                        failures = failures + $4, due_at = now() + $3::float8 * interval '1 second', reason = $5, detail = $6,
                        waiting_for = CASE WHEN $10 THEN waiting_for ELSE $7 END,
                        waiting_error = CASE WHEN $10 THEN waiting_error ELSE $9 END,
                        waiting_since = CASE WHEN $10 OR waiting_for = $7 THEN waiting_since
                                             ELSE clock_timestamp() - $8::float8 * interval '1 second' END
                  WHERE id = $1
              RETURNING id, due_at
             )
             INSERT INTO outbox (job_id, due_at) SELECT id, due_at FROM requeued
                 ON CONFLICT (job_id) DO UPDATE SET due_at = excluded.due_at",
        )
        .await?;
    let (reason, detail) = failure.as_ref().map(|(reason, detail)| (reason.as_str(), detail)).unzip();
    let (failures, is_due) = (i32::from(failure.is_some()), delay.is_zero());
    let what = wait.map(|wait| wait.what.as_str());
    let age = wait.map(|wait| wait.age.as_secs_f64());
    let error = wait.and_then(JobWait::stored_error);
    // A release says nothing about what the job waited for before.
    let keeps_wait = failure.is_none() && wait.is_none();
    let (state, delay) = (state.as_str(), delay.as_secs_f64());
    let values: [&(dyn ToSql + Sync); 10] =
        [&lease.job, &state, &delay, &failures, &reason, &detail, &what, &age, &error, &keeps_wait];
    tx.execute(&statement, &values).await?;
    if is_due {
        tx.batch_execute("NOTIFY longshore_outbox").await?;
    }
    Ok(())
}
