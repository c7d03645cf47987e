//! Adds delete jobs to an export for annotations that are deleted while it runs.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use super::enqueue::{EnqueuedSync, RequestedBy, enqueue};
use crate::{Result, Transaction, syncs};

/// Schedules the deletion of the objects of deleted annotations.
///
/// A live sync of the storage gets one more delete job; otherwise a sync is enqueued. Both happen in the caller's
/// transaction.
///
/// # Errors
/// As [`enqueue()`].
pub async fn add_delete_job(tx: &Transaction<'_>, storage_id: i64) -> Result<EnqueuedSync> {
    let enqueued = enqueue(tx, storage_id, RequestedBy::Annotation, None, None).await?;
    if !enqueued.created {
        // The lock prevents that the sync closes before the new job is inserted.
        if !syncs::lock_live(tx, enqueued.sync_id).await? {
            return enqueue(tx, storage_id, RequestedBy::Annotation, None, None).await;
        }
        // Two tables in one statement, because the outbox needs the ID of the new job.
        tx.execute(
            "WITH job AS (INSERT INTO jobs (sync_id, kind) VALUES ($1, 'delete') RETURNING id)
             INSERT INTO outbox (job_id) SELECT id FROM job",
            &[&enqueued.sync_id],
        )
        .await?;
    }
    Ok(enqueued)
}
