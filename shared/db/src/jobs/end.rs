//! Statements that end jobs, or lock them for removal.

use longshore_model::{FailureReason, JobState};

use super::lease::Lease;
use crate::{Result, Transaction};

/// Ends the job in a final state, with the reason if it was discarded. Returns the ID of its sync.
pub(crate) async fn end(
    tx: &Transaction<'_>,
    lease: Lease,
    state: JobState,
    why: Option<(FailureReason, &str)>,
) -> Result<i64> {
    let (reason, detail) = why.unzip();
    let statement = tx
        .prepare_cached(
            "UPDATE jobs SET state = $2, lease_until = NULL, process = NULL, finished_at = now(), reason = $3, detail = $4
              WHERE id = $1 RETURNING sync_id",
        )
        .await?;
    let reason = reason.map(FailureReason::as_str);
    let row = tx.query_one(&statement, &[&lease.job, &state.as_str(), &reason, &detail]).await?;
    Ok(row.get(0))
}

/// Cancels the unfinished jobs of a sync.
pub(crate) async fn cancel_unfinished(tx: &Transaction<'_>, sync_id: i64) -> Result<()> {
    tx.execute(
        "UPDATE jobs SET state = 'cancelled', lease_until = NULL, finished_at = now()
          WHERE sync_id = $1 AND finished_at IS NULL",
        &[&sync_id],
    )
    .await?;
    Ok(())
}

/// Cancels the unfinished jobs of a sync but one.
pub(crate) async fn cancel_others(tx: &Transaction<'_>, sync_id: i64, job: i64) -> Result<()> {
    tx.execute(
        "UPDATE jobs SET state = 'cancelled', lease_until = NULL, finished_at = now()
          WHERE sync_id = $1 AND id <> $2 AND finished_at IS NULL",
        &[&sync_id, &job],
    )
    .await?;
    Ok(())
}

/// Locks the unfinished jobs of a sync until the transaction ends. Waits for running commits of pages.
pub(crate) async fn lock_unfinished(tx: &Transaction<'_>, sync_id: i64) -> Result<()> {
    tx.execute("SELECT 1 FROM jobs WHERE sync_id = $1 AND finished_at IS NULL ORDER BY id FOR UPDATE", &[&sync_id])
        .await?;
    Ok(())
}

/// Locks all jobs of a storage until the transaction ends. Waits for running commits of pages.
pub(crate) async fn lock_of_storage(tx: &Transaction<'_>, storage_id: i64) -> Result<()> {
    tx.execute(
        "SELECT 1 FROM jobs j JOIN syncs s ON s.id = j.sync_id WHERE s.storage_id = $1 ORDER BY j.id FOR UPDATE OF j",
        &[&storage_id],
    )
    .await?;
    Ok(())
}
