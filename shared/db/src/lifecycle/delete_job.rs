//! Delete jobs beyond the first of an export: annotations that were deleted lately.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use super::enqueue::{Enqueued, RequestedBy, enqueue};
use crate::{Result, Transaction, syncs};

/// Sees to it that the objects of deleted annotations are deleted soon.
///
/// A live sync of the storage gets one more job, else a sync is enqueued. Either way it happens
/// with the caller's transaction or not at all.
///
/// # Errors
/// As [`enqueue()`].
pub async fn add_delete_job(tx: &Transaction<'_>, storage_id: i64) -> Result<Enqueued> {
    let enqueued = enqueue(tx, storage_id, RequestedBy::Annotation, None, None).await?;
    if !enqueued.created {
        // The row lock keeps the sync from closing under the new job.
        if !syncs::lock_live(tx, enqueued.sync_id).await? {
            return enqueue(tx, storage_id, RequestedBy::Annotation, None, None).await;
        }
        // Two tables in one round trip: the outbox needs the new job's ID.
        tx.execute(
            "WITH job AS (INSERT INTO jobs (sync_id, kind) VALUES ($1, 'delete') RETURNING id)
             INSERT INTO outbox (job_id) SELECT id FROM job",
            &[&enqueued.sync_id],
        )
        .await?;
    }
    Ok(enqueued)
}

/// Adds one more delete job to an export that would close now, if annotations were deleted while it ran. Returns
/// whether it did: the sync then stays open. Call it with the sync's row locked.
pub(super) async fn add_late(tx: &Transaction<'_>, sync_id: i64) -> Result<bool> {
    if tx.execute(include_str!("late_deletions.sql"), &[&sync_id]).await? == 0 {
        return Ok(false);
    }
    tx.batch_execute("NOTIFY longshore_outbox").await?;
    Ok(true)
}
