//! Ends syncs, and locks them for it.

use longshore_model::FailureReason;

use crate::{Result, Transaction};

/// Cancels a sync, unless it has ended.
pub(crate) async fn cancel(tx: &Transaction<'_>, id: i64) -> Result<()> {
    tx.execute(
        "UPDATE syncs SET status = 'cancelled', finished_at = now(), reported_at = NULL
          WHERE id = $1 AND finished_at IS NULL",
        &[&id],
    )
    .await?;
    Ok(())
}

/// Locks a sync until the transaction ends.
pub(crate) async fn lock(tx: &Transaction<'_>, id: i64) -> Result<()> {
    // `NO KEY`: after two updates of a job's row in one transaction, its foreign key holds a key share lock on the
    // sync. Two jobs that end at the same time both hold one, and with `FOR UPDATE` they would deadlock.
    tx.execute("SELECT 1 FROM syncs WHERE id = $1 FOR NO KEY UPDATE", &[&id]).await?;
    Ok(())
}

/// Locks a live sync until the transaction ends. Returns false if it has ended.
pub(crate) async fn lock_live(tx: &Transaction<'_>, id: i64) -> Result<bool> {
    let live = "SELECT id FROM syncs WHERE id = $1 AND finished_at IS NULL FOR NO KEY UPDATE";
    Ok(tx.query_opt(live, &[&id]).await?.is_some())
}

/// Records why a sync will end with errors although its jobs complete. The first reason stays.
pub async fn warn(tx: &Transaction<'_>, id: i64, reason: FailureReason, detail: &str) -> Result<()> {
    tx.execute(
        "UPDATE syncs SET reason = $2, detail = $3 WHERE id = $1 AND finished_at IS NULL AND reason IS NULL",
        &[&id, &reason.as_str(), &detail],
    )
    .await?;
    Ok(())
}

/// Ends a sync if all of its jobs have ended. With a `failure` it fails for that reason. Otherwise it completes, with
/// errors if it quarantined objects itself or [`warn`] recorded a reason. Objects in quarantine since an earlier sync are no
/// errors of this one: its counts say how many there are.
pub(crate) async fn close(tx: &Transaction<'_>, id: i64, failure: Option<(FailureReason, &str)>) -> Result<()> {
    let (reason, detail) = failure.unzip();
    tx.execute(
        "UPDATE syncs s
                SET finished_at = now(), reported_at = NULL, reason = coalesce($2, reason), detail = coalesce($3, detail),
                    status = CASE WHEN $2::text IS NOT NULL THEN 'failed'
                                  WHEN reason IS NOT NULL OR (SELECT sum(quarantined) FROM jobs WHERE sync_id = $1) > 0
                                  THEN 'completed_with_errors' ELSE 'completed' END
              WHERE id = $1 AND finished_at IS NULL
                AND NOT EXISTS (SELECT 1 FROM jobs WHERE sync_id = $1 AND finished_at IS NULL)",
        &[&id, &reason.map(FailureReason::as_str), &detail],
    )
    .await?;
    Ok(())
}

/// Deletes the syncs of a storage, with their jobs, if all have ended and were reported. Otherwise returns false.
///
/// The caller has locked the storage, so no sync can start meanwhile.
pub(crate) async fn delete_ended(tx: &Transaction<'_>, storage_id: i64) -> Result<bool> {
    let unreported = "SELECT FROM syncs WHERE storage_id = $1 AND (finished_at IS NULL OR reported_at IS NULL) LIMIT 1";
    if tx.query_opt(unreported, &[&storage_id]).await?.is_some() {
        return Ok(false);
    }
    tx.execute("DELETE FROM syncs WHERE storage_id = $1", &[&storage_id]).await?;
    Ok(true)
}
