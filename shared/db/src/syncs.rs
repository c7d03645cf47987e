//! The `syncs` table: one row per sync. Its counts are summed over its jobs.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

mod deletion;
mod effects;
mod end;
mod host;
mod list;
mod report;
mod waiting;
mod warning;

use jiff::Timestamp;
use longshore_model::{Deletion, Direction, ExportOptions, StorageKind, SyncStatus};
use tokio_postgres::Row;

use crate::jobs::OpenJob;
use crate::row::{optional_word, word};
use crate::{Counts, Error, GenericClient, Result};

pub use deletion::{LiveDeletion, NewDeletion, insert_deletion, live_deletion};
pub(crate) use effects::{end_effects, end_exports, ending, has_key, lock_effects};
pub use end::warn;
pub(crate) use end::{cancel, close, delete_ended, lock, lock_live};
pub(crate) use host::{HostLive, keep_host_values, live_of_host, waits_for_host};
pub use list::{SyncFilter, list};
pub use report::{lock_unreported, mark_reported};
pub use waiting::{LiveSync, list_live};
pub use warning::SyncWarning;

/// A sync with its counts.
#[derive(Debug, Clone)]
pub struct SyncRow {
    /// ID of the sync. Written by `enqueue`.
    pub id: i64,
    /// ID of its storage, or of the storage whose tasks it deletes. `None` for a deletion of all tasks of a project.
    /// Written by `enqueue` and [`insert_deletion`].
    pub storage_id: Option<i64>,
    /// ID of the storage's current project, or of the project whose tasks it deletes.
    pub project_id: i64,
    /// The storage's kind. `None` without a storage, and if a deletion removed it.
    pub kind: Option<StorageKind>,
    /// The storage's direction. A deletion of tasks undoes imports.
    pub direction: Direction,
    /// What a deletion of tasks takes. `None` for every other sync. Written by [`insert_deletion`].
    pub deletion: Option<Deletion>,
    /// Status of the sync; the README has the chart. Written by `enqueue`, by `claim` of its first job, by `complete`
    /// of its last job, and by `discard` and `cancel`.
    pub status: SyncStatus,
    /// What to export, as requested. The defaults for import. `None` if the reporter reads the row, which does not need
    /// them, or if what is stored cannot be read: SQL of earlier releases accepted anything. Written by `enqueue`.
    pub options: Option<ExportOptions>,
    /// A word of table `syncs`, column `requested_by`. Written by `enqueue`.
    pub requested_by: String,
    /// The idempotency key of the request. `None` if it had none. Written by `enqueue`.
    pub idempotency_key: Option<String>,
    /// Why it failed, or completed with errors other than objects in quarantine: a word of `FailureReason`. `None`
    /// otherwise. Written by `discard`, and by `warn` while it runs.
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

/// The options in [`select`].
const OPTIONS: &str = "s.options::text";

/// In their place, for a reader that does not need them: the task IDs of an export take up to a megabyte.
const NO_OPTIONS: &str = "NULL::text";

fn select(options: &str, condition: &str) -> String {
    format!(
        "SELECT s.id, coalesce(s.storage_id, s.deletes_from) AS storage_id, s.deletion::text AS deletion,
                CASE WHEN s.storage_id IS NULL THEN s.project_id ELSE st.project_id END AS project_id,
                st.kind, st.direction, s.status, {options} AS options, s.requested_by, s.idempotency_key, s.reason, s.detail, s.created_at, s.started_at, s.finished_at, c.*,
                open_job.*
           FROM syncs s
           LEFT JOIN storages st ON st.id = coalesce(s.storage_id, s.deletes_from)
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
        kind: optional_word(row, "kind")?,
        direction: optional_word(row, "direction")?.unwrap_or(Direction::Import),
        deletion: row
            .get::<_, Option<&str>>("deletion")
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| Error::unreadable("syncs.deletion", error))?,
        status: word(row, "status")?,
        // No error: one row must not hide the others that are read with it.
        options: row.get::<_, Option<&str>>("options").and_then(|text| serde_json::from_str(text).ok()),
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
    let row = client.query_opt(&select(OPTIONS, "s.id = $1"), &[&id]).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| Error::NotFound(format!("sync {id}")))
}

/// Whether the sync has ended and the reporter has shown its end. True for a sync that does not exist.
pub async fn is_shown(client: &impl GenericClient, id: i64) -> Result<bool> {
    let statement = client
        .prepare_cached("SELECT finished_at IS NOT NULL AND reported_at IS NOT NULL FROM syncs WHERE id = $1")
        .await?;
    Ok(client.query_opt(&statement, &[&id]).await?.is_none_or(|row| row.get(0)))
}

/// Wakes the reporter.
pub(crate) async fn notify(client: &impl GenericClient) -> Result<()> {
    Ok(client.batch_execute("NOTIFY longshore_syncs").await?)
}

/// The result of [`prune`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Syncs that were deleted.
    pub deleted: i64,
    /// ID of the last sync that was read, if there may be more to delete after it.
    pub next: Option<i64>,
}

/// Deletes syncs that ended more than `keep_days` days ago, with their jobs: those among the next thousand after an ID.
///
/// Reads only that many, so a call that finds nothing to delete is cheap, and its transaction is short. Syncs end about
/// in the order of their IDs, so there are no more to delete after a thousand of which the ended ones are too young.
pub async fn prune(client: &impl GenericClient, keep_days: i32, after: i64) -> Result<Pruned> {
    let row = client
        .query_one(
            // An array, not `IN`: for a join, Postgres may read a whole table that has grown since its last analyze.
            "WITH oldest AS MATERIALIZED (
                 SELECT id, finished_at, finished_at < now() - make_interval(days => $1) AS is_old
                   FROM syncs WHERE id > $2 ORDER BY id LIMIT (SELECT 1000)
             ), deleted AS (
                 DELETE FROM syncs WHERE id = ANY (ARRAY(SELECT id FROM oldest WHERE is_old)) RETURNING id
             )
             SELECT (SELECT count(*) FROM deleted) AS deleted,
                    (SELECT max(id) FROM oldest
                     HAVING count(*) = 1000 AND (bool_or(is_old) OR count(finished_at) = 0)) AS next",
            &[&keep_days, &after],
        )
        .await?;
    Ok(Pruned { deleted: row.get("deleted"), next: row.get("next") })
}
