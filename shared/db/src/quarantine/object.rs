//! What a page puts into quarantine and takes out of it.

use longshore_model::QuarantineReason;

use crate::{Result, Transaction};

/// An object or annotation to set aside.
#[derive(Debug, Clone)]
pub struct SetAside {
    pub key: String,
    pub etag: Option<String>,
    pub size: Option<i64>,
    /// Export: the annotation or task.
    pub unit_id: Option<i64>,
    pub reason: QuarantineReason,
    /// What is wrong and what to do; no secret, no body.
    pub detail: String,
    pub byte_offset: Option<i64>,
    pub row_index: Option<i32>,
    pub excerpt: Option<String>,
}

/// Sets objects aside; one that already is gets the new reason.
///
/// # Errors
/// The database is away.
pub async fn set_aside(tx: &Transaction<'_>, storage_id: i64, sync_id: i64, rows: &[SetAside]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    fn column<'a, T>(rows: &'a [SetAside], of: impl Fn(&'a SetAside) -> T) -> Vec<T> {
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

/// Takes objects that could be moved after all out of quarantine.
///
/// # Errors
/// The database is away.
pub async fn release(tx: &Transaction<'_>, storage_id: i64, keys: &[&str]) -> Result<()> {
    if !keys.is_empty() {
        // By ID, each found by its key: with `key = ANY` a table that has grown since it was last analyzed is read
        // for all rows of the storage.
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
