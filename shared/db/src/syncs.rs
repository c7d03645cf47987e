//! The `syncs` table: one row per sync. Its counts are summed over its jobs.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

mod end;
mod list;
mod report;
mod waiting;

use jiff::Timestamp;
use longshore_model::{Direction, ExportOptions, StorageKind, SyncStatus};
use tokio_postgres::Row;

use crate::jobs::OpenJob;
use crate::row::word;
use crate::{Counts, Error, GenericClient, Result};

pub(crate) use end::{cancel, close, delete_ended, lock, lock_live};
pub use list::{SyncFilter, list};
pub use report::{lock_unreported, mark_reported};
pub use waiting::{LiveSync, list_live};

/// A sync with its counts.
#[derive(Debug, Clone)]
pub struct SyncRow {
    /// ID of the sync. Written by `enqueue`.
    pub id: i64,
    /// ID of its storage. Written by `enqueue`.
    pub storage_id: i64,
    /// ID of the storage's current project.
    pub project_id: i64,
    /// The storage's kind.
    pub kind: StorageKind,
    /// The storage's direction.
    pub direction: Direction,
    /// Status of the sync; the README has the chart. Written by `enqueue`, by `claim` of its first job, by `complete`
    /// of its last job, and by `discard` and `cancel`.
    pub status: SyncStatus,
    /// What to export, as requested. The defaults for import. Written by `enqueue`.
    pub options: ExportOptions,
    /// A word of table `syncs`, column `requested_by`. Written by `enqueue`.
    pub requested_by: String,
    /// The idempotency key of the request. `None` if it had none. Written by `enqueue`.
    pub idempotency_key: Option<String>,
    /// Why it failed: a word of `FailureReason`. `None` unless the status is `failed`. Written by `discard`.
    pub reason: Option<String>,
    /// The reason in sentences for users. `None` if `reason` is `None`.
    pub detail: Option<String>,
    /// When it was enqueued, by the database clock.
    pub created_at: Timestamp,
    /// When its first job was claimed, by the database clock. `None` while it is queued. Written by `claim`.
    pub started_at: Option<Timestamp>,
    /// When it ended, by the database clock. `None` while it is live. Written with the final status.
    pub finished_at: Option<Timestamp>,
    /// Counts, summed over its jobs.
    pub counts: Counts,
    /// The unfinished job that shows what the sync waits for. `None` if the sync has ended.
    pub open_job: Option<OpenJob>,
}

fn select(condition: &str) -> String {
    format!(
        "SELECT s.id, s.storage_id, st.project_id, st.kind, st.direction, s.status, s.options::text AS options,
                s.requested_by, s.idempotency_key, s.reason, s.detail, s.created_at, s.started_at, s.finished_at, c.*,
                open_job.*
           FROM syncs s
           JOIN storages st ON st.id = s.storage_id
          CROSS JOIN LATERAL (SELECT {} FROM jobs j WHERE j.sync_id = s.id) c
          {}
          WHERE {condition}",
        Counts::SUMS,
        OpenJob::JOIN
    )
}

fn read(row: &Row) -> Result<SyncRow> {
    Ok(SyncRow {
        id: row.get("id"),
        storage_id: row.get("storage_id"),
        project_id: row.get("project_id"),
        kind: word(row, "kind")?,
        direction: word(row, "direction")?,
        status: word(row, "status")?,
        options: serde_json::from_str(row.get("options")).map_err(|error| Error::unreadable("syncs.options", error))?,
        requested_by: row.get("requested_by"),
        idempotency_key: row.get("idempotency_key"),
        reason: row.get("reason"),
        detail: row.get("detail"),
        created_at: row.get("created_at"),
        started_at: row.get("started_at"),
        finished_at: row.get("finished_at"),
        counts: Counts::of(row),
        open_job: OpenJob::of(row)?,
    })
}

/// One sync.
///
/// # Errors
/// [`Error::NotFound`] if the sync does not exist.
pub async fn get(client: &impl GenericClient, id: i64) -> Result<SyncRow> {
    let row = client.query_opt(&select("s.id = $1"), &[&id]).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| Error::NotFound(format!("sync {id}")))
}

/// Wakes the reporter.
pub(crate) async fn notify(client: &impl GenericClient) -> Result<()> {
    Ok(client.batch_execute("NOTIFY longshore_syncs").await?)
}

/// Deletes syncs that ended more than `keep_days` days ago, with their jobs, and returns their number.
///
/// Reads only the thousand oldest syncs, so a call that finds nothing to delete is cheap.
pub async fn prune(client: &impl GenericClient, keep_days: i32) -> Result<u64> {
    Ok(client
        .execute(
            // An array, not `IN`: for a join, Postgres may read a whole table that has grown since its last analyze.
            "DELETE FROM syncs WHERE id = ANY (ARRAY(
                 SELECT id FROM (SELECT id, finished_at FROM syncs ORDER BY id LIMIT 1000) oldest
                  WHERE finished_at < now() - make_interval(days => $1)))",
            &[&keep_days],
        )
        .await?)
}
