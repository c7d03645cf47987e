//! Adds delete jobs to an export for annotations that are deleted while it runs.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use longshore_model::{ExportMode, ExportOptions, MAX_EXPORT_TASKS};

use super::enqueue::{EnqueuedSync, RequestedBy, enqueue};
use crate::{Result, Transaction, syncs};

/// Schedules the deletion of the objects of deleted annotations.
///
/// Nothing else is exported, but where an object holds a whole task, the object of `task`, which lost an annotation, is
/// written again. `None` if the tasks were deleted too.
///
/// A live sync of the storage gets one more delete job; otherwise a sync is enqueued. Both happen in the caller's
/// transaction.
///
/// # Errors
/// As [`enqueue()`].
pub async fn add_delete_job(tx: &Transaction<'_>, storage_id: i64, task: Option<i64>) -> Result<EnqueuedSync> {
    let options = task.map(|task| ExportOptions { mode: ExportMode::Changed, tasks: vec![task] });
    let enqueued = enqueue(tx, storage_id, RequestedBy::Annotation, None, options.as_ref()).await?;
    if !enqueued.created {
        // The lock prevents that the sync closes before the new job is inserted.
        if !syncs::lock_live(tx, enqueued.sync_id).await? {
            return enqueue(tx, storage_id, RequestedBy::Annotation, None, options.as_ref()).await;
        }
        // Several tables in one statement, because the outbox needs the IDs of the new jobs. A sync for other deleted
        // annotations may have written its tasks already, so it gets another job for this one.
        tx.execute(
            "WITH widened AS (
                 UPDATE syncs y
                    SET options = options || jsonb_build_object('tasks', coalesce(options -> 'tasks', '[]') || to_jsonb($2::bigint))
                   FROM storages s
                  WHERE y.id = $1 AND y.requested_by = 'annotation' AND $2::bigint IS NOT NULL AND s.id = y.storage_id
                    AND s.settings ->> 'export_tasks' = 'true'
                    AND coalesce(jsonb_array_length(options -> 'tasks'), 0) < $3
                 RETURNING y.id
             ), job AS (
                 INSERT INTO jobs (sync_id, kind) SELECT $1, 'delete' UNION ALL SELECT id, 'export' FROM widened RETURNING id
             )
             INSERT INTO outbox (job_id) SELECT id FROM job",
            &[&enqueued.sync_id, &task, &i32::try_from(MAX_EXPORT_TASKS).unwrap_or(i32::MAX)],
        )
        .await?;
    }
    Ok(enqueued)
}
