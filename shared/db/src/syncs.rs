//! The `syncs` table: one row a run of a storage, its totals summed over its jobs.

use crate::GenericClient;
use chrono::{DateTime, Utc};
use longshore_model::{Direction, ExportOptions, FailureReason, StorageKind, SyncStatus};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::bounded::{bounded, settings_bytes};
use crate::row::word;
use crate::{Bounded, Counts, Error, Result, Transaction};

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

/// Which syncs to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct SyncFilter {
    pub project: Option<i64>,
    /// Only these projects; `None` is all.
    pub projects: Option<Vec<i64>>,
    pub storage: Option<i64>,
    pub status: Option<SyncStatus>,
    /// Only syncs with a smaller id: the next page.
    pub before: Option<i64>,
    pub limit: i64,
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

/// Syncs, newest first, as far as they fit into `most` bytes.
///
/// The page's IDs are found first and only then its totals. Storages are gone through one by one if only some can
/// count, each by its own newest syncs: to walk back over the syncs of all others could take forever. The text
/// names only the filters that are set, so that no plan has to fit all of them; it is not prepared.
///
/// # Errors
/// The database is unavailable.
pub async fn list(client: &impl GenericClient, filter: &SyncFilter, most: i64) -> Result<Bounded<SyncRow>> {
    let before = filter.before.unwrap_or(i64::MAX);
    // A word of a closed set, as text: with a parameter the partial index on status could not be used.
    let status = filter.status.map(|status| format!(" AND y.status = '{}'", status.as_str())).unwrap_or_default();
    let newest = |of: &str| format!("SELECT y.id FROM syncs y WHERE {of}y.id < $1{status} ORDER BY y.id DESC LIMIT $2");
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&before, &filter.limit];
    let mut storages = Vec::new();
    let mut with = |condition: &str, value| {
        values.push(value);
        storages.push(condition.replace('?', &format!("${}", values.len())));
    };
    if let Some(project) = &filter.project {
        with("project_id = ?", project);
    }
    if let Some(projects) = &filter.projects {
        with("project_id = ANY (?)", projects);
    }
    if let Some(storage) = &filter.storage {
        with("id = ?", storage);
    }
    let ids = match storages.is_empty() {
        true => newest(""),
        false => format!(
            "SELECT newest.id FROM (SELECT id FROM storages WHERE {} OFFSET 0) o CROSS JOIN LATERAL ({}) newest
              ORDER BY newest.id DESC LIMIT $2",
            storages.join(" AND "),
            newest("y.storage_id = o.id AND ")
        ),
    };
    let page = format!(
        "SELECT s.*, st.kind, st.direction, st.project_id AS of_project
           FROM syncs s JOIN storages st ON st.id = s.storage_id WHERE s.id = ANY (ARRAY({ids})) ORDER BY s.id DESC"
    );
    values.push(&most);
    let most = format!("${}", values.len());
    let bytes = format!("1024 + {} + coalesce(octet_length(detail), 0)", settings_bytes("options"));
    let shown = "id, storage_id, of_project AS project_id, kind, direction, status, options, requested_by, idempotency_key, reason,
                 detail, created_at, started_at, finished_at";
    let kept = bounded(&page, &bytes, "id DESC", shown, &most);
    // Totals of those alone that are shown.
    let text = format!(
        "SELECT s.id, s.storage_id, s.project_id, s.kind, s.direction, s.status, s.options::text AS options,
                s.requested_by, s.idempotency_key, s.reason, s.detail, s.created_at, s.started_at, s.finished_at,
                s.page_rows, c.*
           FROM ({kept}) s CROSS JOIN LATERAL (SELECT {} FROM jobs j WHERE j.sync_id = s.id) c
          ORDER BY s.id DESC",
        Counts::SUMS
    );
    let rows = client.query(&text, &values).await?;
    Bounded::read(&rows, read)
}

/// Marks a sync as cancelled, unless it has ended.
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
    // NO KEY: a job's row, changed twice in its transaction, holds a share of its sync's key. Two jobs
    // that end together both hold one, and would wait for each other's with the stronger lock.
    tx.execute("SELECT 1 FROM syncs WHERE id = $1 FOR NO KEY UPDATE", &[&id]).await?;
    Ok(())
}

/// Locks a sync that has not ended until the transaction ends, and returns whether there is one.
pub(crate) async fn lock_live(tx: &Transaction<'_>, id: i64) -> Result<bool> {
    let live = "SELECT id FROM syncs WHERE id = $1 AND finished_at IS NULL FOR NO KEY UPDATE";
    Ok(tx.query_opt(live, &[&id]).await?.is_some())
}

/// Ends a sync if all of its jobs have ended, and returns whether it did. A `failure` is its reason; without one its
/// jobs' counts say whether it completed with errors.
pub(crate) async fn close(tx: &Transaction<'_>, id: i64, failure: Option<(FailureReason, &str)>) -> Result<bool> {
    let (reason, detail) = failure.unzip();
    let closed = tx
        .execute(
            "UPDATE syncs s
                SET finished_at = now(), reported_at = NULL, reason = $2, detail = $3,
                    status = CASE WHEN $2::text IS NOT NULL THEN 'failed'
                                  WHEN (SELECT sum(quarantined + still_quarantined) FROM jobs WHERE sync_id = $1) > 0
                                  THEN 'completed_with_errors' ELSE 'completed' END
              WHERE id = $1 AND finished_at IS NULL
                AND NOT EXISTS (SELECT 1 FROM jobs WHERE sync_id = $1 AND finished_at IS NULL)",
            &[&id, &reason.map(FailureReason::as_str), &detail],
        )
        .await?;
    Ok(closed > 0)
}

/// Syncs whose status is to be shown: live ones not shown for a second, and those that have ended since.
///
/// Their storages' rows stay locked until the transaction ends, so that several reporters share the
/// work; a storage that is busy is left for the next time.
///
/// # Errors
/// The database is away.
pub async fn to_report(tx: &Transaction<'_>, limit: i64) -> Result<Vec<SyncRow>> {
    const UNSHOWN: &str = "(s.reported_at IS NULL
                 OR (s.finished_at IS NULL AND s.reported_at < now() - interval '1 second'))";
    let rows = tx
        .query(
            &format!(
                "SELECT s.id FROM syncs s JOIN storages st ON st.id = s.storage_id
                  WHERE {UNSHOWN} ORDER BY s.id LIMIT $1 FOR NO KEY UPDATE OF st SKIP LOCKED"
            ),
            &[&limit],
        )
        .await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    // In a statement of its own: what is read is not older than the locks, and what another reporter
    // has shown just before they were taken is not shown twice.
    tx.query(&select(&format!("s.id = ANY ($1) AND {UNSHOWN} ORDER BY s.id")), &[&ids])
        .await?
        .iter()
        .map(read)
        .collect()
}

/// Notes that syncs were shown, those that are still as they were read: whoever ends one clears
/// `reported_at`, and an end that came after the reading is to be shown yet.
///
/// # Errors
/// The database is away.
pub async fn reported(tx: &Transaction<'_>, shown: &[SyncRow]) -> Result<()> {
    let ids = |ended: bool| -> Vec<i64> {
        shown.iter().filter(|sync| sync.finished_at.is_some() == ended).map(|sync| sync.id).collect()
    };
    tx.execute(
        "UPDATE syncs SET reported_at = now()
          WHERE (id = ANY ($1) AND finished_at IS NULL) OR (id = ANY ($2) AND finished_at IS NOT NULL)",
        &[&ids(false), &ids(true)],
    )
    .await?;
    Ok(())
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
