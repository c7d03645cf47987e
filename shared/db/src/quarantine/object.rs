//! Statements with which a page adds objects to quarantine and removes them.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use longshore_model::QuarantineReason;

use crate::{Result, Transaction};

/// An object or unit to quarantine.
#[derive(Debug, Clone)]
pub struct QuarantinedObject {
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
    /// What is wrong and what to do, for users. Must have no secret and no content.
    pub detail: String,
    /// Where parsing stopped, in bytes of the decompressed object. `None` if the fault has no position.
    pub byte_offset: Option<i64>,
    /// Number of the wrong item, from 0. `None` if the fault is not in one item.
    pub row_index: Option<i32>,
    /// Text around that position. `None` if there is none.
    pub excerpt: Option<String>,
}

impl QuarantinedObject {
    /// An object that could not be imported; `size` in bytes.
    pub fn object(
        key: impl Into<String>,
        etag: Option<String>,
        size: Option<u64>,
        reason: QuarantineReason,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            etag,
            size: size.and_then(|size| i64::try_from(size).ok()),
            ..Self::new(key.into(), reason, detail.into())
        }
    }

    /// An annotation or task that could not be exported; `key` is the key of the object that would have been written.
    pub fn unit(unit_id: i64, key: impl Into<String>, reason: QuarantineReason, detail: impl Into<String>) -> Self {
        Self { unit_id: Some(unit_id), ..Self::new(key.into(), reason, detail.into()) }
    }

    fn new(key: String, reason: QuarantineReason, detail: String) -> Self {
        Self {
            key,
            etag: None,
            size: None,
            unit_id: None,
            reason,
            detail,
            byte_offset: None,
            row_index: None,
            excerpt: None,
        }
    }
}

/// Adds objects to quarantine. One that is already there gets the new reason, and its state becomes `open`.
pub async fn insert(tx: &Transaction<'_>, storage_id: i64, sync_id: i64, rows: &[QuarantinedObject]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    fn column<'a, T>(rows: &'a [QuarantinedObject], of: impl Fn(&'a QuarantinedObject) -> T) -> Vec<T> {
        rows.iter().map(of).collect()
    }
    tx.execute(
        "INSERT INTO quarantine (storage_id, sync_id, key, etag, size, unit_id, reason, detail, byte_offset,
                                 row_index, excerpt)
         SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
                                      $9::bigint[], $10::int[], $11::text[])
         ON CONFLICT (storage_id, key) DO UPDATE
            SET sync_id = excluded.sync_id, etag = excluded.etag, size = excluded.size, unit_id = excluded.unit_id,
                reason = excluded.reason, detail = excluded.detail, byte_offset = excluded.byte_offset,
                row_index = excluded.row_index, excerpt = excluded.excerpt, state = 'open', updated_at = now()",
        &[
            &storage_id,
            &sync_id,
            &column(rows, |row| row.key.as_str()),
            &column(rows, |row| row.etag.as_deref()),
            &column(rows, |row| row.size),
            &column(rows, |row| row.unit_id),
            &column(rows, |row| row.reason.as_str()),
            &column(rows, |row| row.detail.as_str()),
            &column(rows, |row| row.byte_offset),
            &column(rows, |row| row.row_index),
            &column(rows, |row| row.excerpt.as_deref()),
        ],
    )
    .await?;
    Ok(())
}

/// Removes objects from quarantine that were imported or exported now.
pub async fn remove(tx: &Transaction<'_>, storage_id: i64, keys: &[&str]) -> Result<()> {
    if !keys.is_empty() {
        // Look up each row by its key, and delete by ID: with `key = ANY`, and a table that has grown since its last
        // analyze, Postgres reads all rows of the storage.
        tx.execute(
            "DELETE FROM quarantine WHERE id = ANY (ARRAY(
                 SELECT q.id FROM unnest($2::text[]) AS gone (key)
                  CROSS JOIN LATERAL (
                        SELECT id FROM quarantine WHERE storage_id = $1 AND key = gone.key LIMIT 1) q))",
            &[&storage_id, &keys],
        )
        .await?;
    }
    Ok(())
}

/// Removes the rows of objects that left the bucket, by their IDs. A user's decision to discard an object stays.
pub async fn close(tx: &Transaction<'_>, ids: &[i64]) -> Result<()> {
    if !ids.is_empty() {
        tx.execute("DELETE FROM quarantine WHERE id = ANY ($1) AND state <> 'discarded'", &[&ids]).await?;
    }
    Ok(())
}
