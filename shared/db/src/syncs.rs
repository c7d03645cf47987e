//! The `syncs` table: one row a run of a storage, its totals summed over its jobs.

mod end;
mod list;
mod report;

use chrono::{DateTime, Utc};
use longshore_model::{Direction, ExportOptions, StorageKind, SyncStatus};
use tokio_postgres::Row;

use crate::row::word;
use crate::{Counts, Error, GenericClient, Result};

pub(crate) use end::{cancel, close, lock, lock_live};
pub use list::{SyncFilter, list};
pub use report::{reported, to_report};

/// A sync with its totals.
#[derive(Debug, Clone)]
pub struct SyncRow {
    pub id: i64,
    pub storage_id: i64,
    pub project_id: i64,
    pub kind: StorageKind,
    pub direction: Direction,
    pub status: SyncStatus,
    pub options: ExportOptions,
    /// A word of table `syncs`, column `requested_by`.
    pub requested_by: String,
    pub idempotency_key: Option<String>,
    /// Why it failed: a word of [`FailureReason`].
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub counts: Counts,
}

fn select(condition: &str) -> String {
    format!(
        "SELECT s.id, s.storage_id, st.project_id, st.kind, st.direction, s.status, s.options::text AS options,
                s.requested_by, s.idempotency_key, s.reason, s.detail, s.created_at, s.started_at, s.finished_at, c.*
           FROM syncs s
           JOIN storages st ON st.id = s.storage_id
          CROSS JOIN LATERAL (SELECT {} FROM jobs j WHERE j.sync_id = s.id) c
          WHERE {condition}",
        Counts::SUMS
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
    })
}

/// One sync.
///
/// # Errors
/// [`Error::NotFound`] without such a sync.
pub async fn get(client: &impl GenericClient, id: i64) -> Result<SyncRow> {
    let row = client.query_opt(&select("s.id = $1"), &[&id]).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| Error::NotFound(format!("sync {id}")))
}

/// Wakes the reporter.
pub(crate) async fn notify(client: &impl GenericClient) -> Result<()> {
    Ok(client.batch_execute("NOTIFY longshore_syncs").await?)
}

/// Removes syncs that ended long ago, with their jobs, and returns how many.
///
/// Only the thousand oldest are looked at: without anything to remove this reads no further.
///
/// # Errors
/// The database is away.
pub async fn prune(client: &impl GenericClient, keep_days: i32) -> Result<u64> {
    Ok(client
        .execute(
            // An array, not `IN`: a join with a table that has grown since it was last analyzed may read it whole.
            "DELETE FROM syncs WHERE id = ANY (ARRAY(
                 SELECT id FROM (SELECT id, finished_at FROM syncs ORDER BY id LIMIT 1000) oldest
                  WHERE finished_at < now() - make_interval(days => $1)))",
            &[&keep_days],
        )
        .await?)
}
