//! The `quarantine` table: objects that could not be imported or exported, as users see and decide about them.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

mod lookup;
mod object;

use jiff::Timestamp;
use longshore_model::{QuarantineReason, StorageKind};
use tokio_postgres::Row;

use crate::bounded::bounded;
use crate::row::word;
use crate::{Bounded, GenericClient, Result, Transaction};

pub(crate) use lookup::{Entry, among, between};
pub use object::{QuarantinedObject, insert, remove};

/// An object or annotation that could not be moved.
#[derive(Debug, Clone)]
pub struct QuarantineRow {
    /// Identity of the row. It stays when the object is quarantined again.
    pub id: i64,
    /// The storage. Written by `insert`.
    pub storage_id: i64,
    /// The project that the storage belongs to now.
    pub project_id: i64,
    /// The storage's kind.
    pub kind: StorageKind,
    /// The latest sync that put it into quarantine.
    pub sync_id: i64,
    /// Import: the object's key, or a name for one that no text can hold. Export: the key that its object would have.
    pub key: String,
    /// Version of the object that was read. `None` for a unit, and where the storage has none.
    pub etag: Option<String>,
    /// Stored bytes of the object. `None` for a unit.
    pub size: Option<i64>,
    /// Export: the annotation or task. `None` for an object.
    pub unit_id: Option<i64>,
    /// Why it could not be moved.
    pub reason: QuarantineReason,
    /// What is wrong and what to do; no secret, no body.
    pub detail: String,
    /// Where reading stopped, in bytes of the unpacked object. `None` if it was not read that far.
    pub byte_offset: Option<i64>,
    /// The item that is wrong, from 0. `None` if it is not one item.
    pub row_index: Option<i32>,
    /// Text around that place. `None` where there is none.
    pub excerpt: Option<String>,
    /// A word of column `state`: `open` (written by `insert`), `replay` or `discarded` (written by [`decide`]).
    pub state: String,
    /// When it was first quarantined, by the database clock.
    pub created_at: Timestamp,
    /// When it was last quarantined or decided about, by the database clock.
    pub updated_at: Timestamp,
}

/// What a user decides about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The next sync tries again.
    Replay,
    /// It is not tried again until it changes.
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

/// Which rows; newest first.
#[derive(Debug, Clone, Default)]
pub struct QuarantineFilter<'a> {
    /// Only this row; `None` is any.
    pub id: Option<i64>,
    /// Only this project; `None` is any.
    pub project: Option<i64>,
    /// Only these projects; `None` is all.
    pub projects: Option<&'a [i64]>,
    /// Only this storage; `None` is any.
    pub storage: Option<i64>,
    /// Only what this sync put into quarantine; `None` is any.
    pub sync: Option<i64>,
    /// Only this state; `None` is any.
    pub state: Option<&'a str>,
    /// Only this reason; `None` is any.
    pub reason: Option<QuarantineReason>,
    /// Only rows with a smaller ID: the next page. `None` is the first page.
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

/// One row, or `None`.
pub async fn get(client: &impl GenericClient, id: i64) -> Result<Option<QuarantineRow>> {
    let filter = QuarantineFilter { id: Some(id), ..QuarantineFilter::default() };
    Ok(list(client, &filter, 1, 0).await?.rows.pop())
}

/// Decides about every row that the filter names and returns how many changed, by storage.
///
/// A row that already is as decided counts again: deciding twice is the same as once.
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

/// Removes the quarantine of a storage.
pub(crate) async fn delete_of_storage(tx: &Transaction<'_>, storage_id: i64) -> Result<()> {
    tx.execute("DELETE FROM quarantine WHERE storage_id = $1", &[&storage_id]).await?;
    Ok(())
}
