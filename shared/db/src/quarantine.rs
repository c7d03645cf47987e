//! The `quarantine` table: objects that could not be imported or exported. Users list them, and replay or discard them.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

mod lookup;
mod object;
mod refused;

use jiff::Timestamp;
use longshore_model::{QuarantineReason, StorageKind};
use tokio_postgres::Row;

use crate::bounded::bounded;
use crate::row::word;
use crate::{Bounded, GenericClient, Result, Transaction};

pub use lookup::open_below;
pub(crate) use lookup::{Entry, among, between};
pub use object::{QuarantinedObject, close, insert, remove};
pub use refused::{RefusedObject, refused};

/// An object, annotation or task in quarantine.
#[derive(Debug, Clone)]
pub struct QuarantineRow {
    /// ID of the row. It stays the same when the object is quarantined again.
    pub id: i64,
    /// ID of the storage. Written by `insert`.
    pub storage_id: i64,
    /// ID of the storage's current project.
    pub project_id: i64,
    /// The storage's kind.
    pub kind: StorageKind,
    /// ID of the latest sync that quarantined it.
    pub sync_id: i64,
    /// Import: the object's key, or a substitute name for a key that Postgres cannot store. Export: the key of the
    /// object that would have been written.
    pub key: String,
    /// Version of the object that was read. `None` for a unit, and if the storage has no versions.
    pub etag: Option<String>,
    /// Stored bytes of the object. `None` for a unit.
    pub size: Option<i64>,
    /// Export: ID of the annotation or task. `None` for an object.
    pub unit_id: Option<i64>,
    /// Why it could not be imported or exported.
    pub reason: QuarantineReason,
    /// What is wrong and what to do, for users. Has no secret and no content.
    pub detail: String,
    /// Where parsing stopped, in bytes of the decompressed object. `None` if the fault has no position.
    pub byte_offset: Option<i64>,
    /// Number of the wrong item, from 0. `None` if the fault is not in one item.
    pub row_index: Option<i32>,
    /// Text around that position. `None` if there is none.
    pub excerpt: Option<String>,
    /// A word of column `state`: `open` (written by `insert`), `replay` or `discarded` (written by [`decide`]).
    pub state: String,
    /// When it was first quarantined, by the database clock.
    pub created_at: Timestamp,
    /// When it was last quarantined or decided about, by the database clock.
    pub updated_at: Timestamp,
}

/// A user's decision about a quarantined object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The next sync tries the object again.
    Replay,
    /// Syncs skip the object until it changes.
    Discard,
}

impl Decision {
    const fn state(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discarded",
        }
    }
}

/// Which rows to list, or to decide about.
#[derive(Debug, Clone, Default)]
pub struct QuarantineFilter<'a> {
    /// Only this row; `None` means any.
    pub id: Option<i64>,
    /// Only this project; `None` means any.
    pub project: Option<i64>,
    /// Only these projects; `None` means all.
    pub projects: Option<&'a [i64]>,
    /// Only this storage; `None` means any.
    pub storage: Option<i64>,
    /// Only rows that this sync quarantined; `None` means any.
    pub sync: Option<i64>,
    /// Only this state; `None` means any.
    pub state: Option<&'a str>,
    /// Only this reason; `None` means any.
    pub reason: Option<QuarantineReason>,
    /// Only rows with a smaller ID, for the next page. `None` for the first page.
    pub before: Option<i64>,
}

const CONDITION: &str = "($1::bigint IS NULL OR q.id = $1)
     AND ($2::bigint IS NULL OR st.project_id = $2) AND ($3::bigint[] IS NULL OR st.project_id = ANY ($3))
     AND ($4::bigint IS NULL OR q.storage_id = $4) AND ($5::bigint IS NULL OR q.sync_id = $5)
     AND ($6::text IS NULL OR q.state = $6) AND ($7::text IS NULL OR q.reason = $7)
     AND ($8::bigint IS NULL OR q.id < $8)";

fn read(row: &Row) -> Result<QuarantineRow> {
    Ok(QuarantineRow {
        id: row.get("id"),
        storage_id: row.get("storage_id"),
        project_id: row.get("project_id"),
        kind: word(row, "kind")?,
        sync_id: row.get("sync_id"),
        key: row.get("key"),
        etag: row.get("etag"),
        size: row.get("size"),
        unit_id: row.get("unit_id"),
        reason: word(row, "reason")?,
        detail: row.get("detail"),
        byte_offset: row.get("byte_offset"),
        row_index: row.get("row_index"),
        excerpt: row.get("excerpt"),
        state: row.get("state"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}

/// At most `limit` rows, newest first, as far as they fit into `most` bytes.
pub async fn list(
    client: &impl GenericClient,
    filter: &QuarantineFilter<'_>,
    limit: i64,
    most: i64,
) -> Result<Bounded<QuarantineRow>> {
    let page = format!(
        "SELECT q.*, st.project_id, st.kind FROM quarantine q JOIN storages st ON st.id = q.storage_id
          WHERE {CONDITION} ORDER BY q.id DESC LIMIT $9"
    );
    let bytes = "512 + octet_length(key) + octet_length(detail) + coalesce(octet_length(excerpt), 0)
                 + coalesce(octet_length(etag), 0)";
    let shown = "id, storage_id, project_id, kind, sync_id, key, etag, size, unit_id, reason, detail, byte_offset,
                 row_index, excerpt, state, created_at, updated_at";
    let rows = client
        .query(
            &bounded(&page, bytes, "id DESC", shown, "$10"),
            &[
                &filter.id,
                &filter.project,
                &filter.projects,
                &filter.storage,
                &filter.sync,
                &filter.state,
                &filter.reason.map(QuarantineReason::as_str),
                &filter.before,
                &limit,
                &most,
            ],
        )
        .await?;
    Bounded::read(&rows, read)
}

/// One row, or `None` if it does not exist.
pub async fn get(client: &impl GenericClient, id: i64) -> Result<Option<QuarantineRow>> {
    let filter = QuarantineFilter { id: Some(id), ..QuarantineFilter::default() };
    Ok(list(client, &filter, 1, 0).await?.rows.pop())
}

/// IDs of the storages that have rows that match the filter, in ascending order.
pub async fn storages_of(client: &impl GenericClient, filter: &QuarantineFilter<'_>) -> Result<Vec<i64>> {
    let text = format!(
        "SELECT DISTINCT q.storage_id FROM quarantine q JOIN storages st ON st.id = q.storage_id
          WHERE {CONDITION} ORDER BY q.storage_id"
    );
    let rows = client
        .query(
            &text,
            &[
                &filter.id,
                &filter.project,
                &filter.projects,
                &filter.storage,
                &filter.sync,
                &filter.state,
                &filter.reason.map(QuarantineReason::as_str),
                &filter.before,
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Writes a decision to all rows that match the filter. Returns pairs of storage ID and number of rows.
///
/// Rows that already have this decision count as well, so a second call returns the same numbers.
pub async fn decide(
    tx: &Transaction<'_>,
    filter: &QuarantineFilter<'_>,
    decision: Decision,
) -> Result<Vec<(i64, i64)>> {
    let rows = tx
        .query(
            &format!(
                "WITH decided AS (
                     UPDATE quarantine SET state = $9, updated_at = now()
                      WHERE id IN (SELECT q.id FROM quarantine q JOIN storages st ON st.id = q.storage_id
                                    WHERE {CONDITION})
                  RETURNING storage_id)
                 SELECT storage_id, count(*) FROM decided GROUP BY storage_id ORDER BY storage_id"
            ),
            &[
                &filter.id,
                &filter.project,
                &filter.projects,
                &filter.storage,
                &filter.sync,
                &filter.state,
                &filter.reason.map(QuarantineReason::as_str),
                &filter.before,
                &decision.state(),
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Deletes the quarantine of a storage.
pub(crate) async fn delete_of_storage(tx: &Transaction<'_>, storage_id: i64) -> Result<()> {
    tx.execute("DELETE FROM quarantine WHERE storage_id = $1", &[&storage_id]).await?;
    Ok(())
}

/// Deletes at most `limit` rows of these storages.
pub(crate) async fn delete_some(tx: &Transaction<'_>, storages: &[i64], limit: i64) -> Result<()> {
    let text = "DELETE FROM quarantine WHERE id = ANY (ARRAY(
                    SELECT r.id FROM unnest($1::bigint[]) s (id)
                     CROSS JOIN LATERAL (SELECT id FROM quarantine WHERE storage_id = s.id
                                          ORDER BY key LIMIT (SELECT $2::bigint)) r
                     LIMIT (SELECT $2::bigint)))";
    tx.execute(text, &[&storages, &limit]).await?;
    Ok(())
}
