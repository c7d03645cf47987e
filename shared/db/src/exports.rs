//! The `exports` table: what export wrote, one row per unit (an annotation or a task).
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use jiff::Timestamp;

use crate::{GenericClient, Result, Transaction};

/// A write that the storage confirmed.
#[derive(Debug, Clone)]
pub struct ExportRecord {
    /// ID of the annotation or task.
    pub unit_id: i64,
    /// Key of the object that was written.
    pub key: String,
    /// Version that the storage returned. `None` if the storage has no versions.
    pub etag: Option<String>,
    /// SHA-256 of the body without its time-dependent fields.
    pub digest: Vec<u8>,
    /// The unit's `updated_at` at the time of writing.
    pub unit_updated_at: Timestamp,
}

/// An object whose annotation or task was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// `annotation` or `task`, by the storage's settings at the time of writing.
    pub unit: String,
    /// ID of the deleted annotation or task.
    pub unit_id: i64,
    /// Key of its object.
    pub key: String,
}

/// Unit ID, key and digest of what was written before, for units of one page.
pub async fn digests(
    client: &impl GenericClient,
    storage_id: i64,
    unit: &str,
    unit_ids: &[i64],
) -> Result<Vec<(i64, String, Vec<u8>)>> {
    // `LIMIT 1` forces a look-up by key for each unit. With `ANY`, and a table that had grown since its last analyze,
    // Postgres read all units of the storage for every page. Not prepared: Postgres would keep a plan that it made for
    // a tiny table.
    let text = "SELECT e.unit_id, e.key, e.digest
                  FROM unnest($3::bigint[]) AS page (unit_id)
                 CROSS JOIN LATERAL (
                       SELECT unit_id, key, digest, state FROM exports
                        WHERE storage_id = $1 AND unit = $2 AND unit_id = page.unit_id LIMIT 1) e
                 WHERE e.state = 'exported'";
    let rows = client.query(text, &[&storage_id, &unit, &unit_ids]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}

/// Key and etag of objects that a storage wrote for these annotations or tasks and did not delete.
pub async fn written(
    client: &impl GenericClient,
    storage_id: i64,
    unit_ids: &[i64],
) -> Result<Vec<(String, Option<String>)>> {
    // One look-up for each, as in `digests`.
    let text = "SELECT e.key, e.etag
                  FROM unnest($2::bigint[]) AS page (unit_id)
                 CROSS JOIN (VALUES ('annotation'), ('task')) AS u (unit)
                 CROSS JOIN LATERAL (
                       SELECT key, etag, state FROM exports
                        WHERE storage_id = $1 AND unit = u.unit AND unit_id = page.unit_id LIMIT 1) e
                 WHERE e.state <> 'deleted'";
    let rows = client.query(text, &[&storage_id, &unit_ids]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Keys of at most `limit` random objects that were exported and should still be there. Fewer if IDs have gaps,
/// or if many objects were deleted.
///
/// The time does not depend on the number of exports.
pub async fn sample(
    client: &impl GenericClient,
    storage_id: i64,
    unit: &str,
    limit: i64,
) -> Result<Vec<(i64, String)>> {
    // All of a small table; otherwise the units at, or after, random IDs between the first and the last. Twice as many
    // IDs as objects, because some lead to the same unit.
    let text = "WITH few AS (
                 SELECT unit_id, key, state FROM exports WHERE storage_id = $1 AND unit = $2
                  ORDER BY unit_id LIMIT (SELECT $3::bigint + 1)
             ), ends AS (
                 SELECT (SELECT unit_id FROM exports WHERE storage_id = $1 AND unit = $2 ORDER BY unit_id LIMIT 1) AS low,
                        (SELECT unit_id FROM exports WHERE storage_id = $1 AND unit = $2
                          ORDER BY unit_id DESC LIMIT 1) AS high
             ), points AS (
                 SELECT low + floor(random() * (high - low + 1))::bigint AS point
                   FROM ends CROSS JOIN generate_series(1, 2 * $3::bigint)
                  WHERE (SELECT count(*) FROM few) > $3::bigint
             )
             SELECT unit_id, key FROM few WHERE (SELECT count(*) FROM few) <= $3::bigint AND state = 'exported'
              UNION
             SELECT e.unit_id, e.key FROM points CROSS JOIN LATERAL (
                    SELECT unit_id, key, state FROM exports
                     WHERE storage_id = $1 AND unit = $2 AND unit_id >= points.point ORDER BY unit_id LIMIT 1) e
              WHERE e.state = 'exported'
              LIMIT $3::bigint";
    let rows = client.query(text, &[&storage_id, &unit, &limit]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Whether the object of any of these units must be in the storage: it was exported, and nothing deletes it, because its
/// annotation or task still exists.
///
/// `annotations` is the host's table of annotations.
pub async fn any_is_due(
    client: &impl GenericClient,
    annotations: &str,
    storage_id: i64,
    unit: &str,
    unit_ids: &[i64],
) -> Result<bool> {
    let text = format!(
        "SELECT EXISTS (
                 SELECT FROM unnest($3::bigint[]) AS missing (id)
                  WHERE EXISTS (SELECT FROM exports e WHERE e.storage_id = $1 AND e.unit = $2 AND e.unit_id = missing.id
                                   AND e.state = 'exported')
                    AND CASE $2 WHEN 'annotation' THEN EXISTS (SELECT FROM {annotations} a WHERE a.id = missing.id)
                                ELSE EXISTS (SELECT FROM {annotations} a WHERE a.task_id = missing.id) END)"
    );
    Ok(client.query_one(&text, &[&storage_id, &unit, &unit_ids]).await?.get(0))
}

/// Records confirmed writes.
pub async fn record<'a>(
    tx: &Transaction<'_>,
    storage_id: i64,
    sync_id: i64,
    unit: &str,
    written: impl Iterator<Item = &'a ExportRecord>,
) -> Result<()> {
    let written: Vec<&ExportRecord> = written.collect();
    if written.is_empty() {
        return Ok(());
    }
    let statement = tx
        .prepare_cached(
            "INSERT INTO exports (storage_id, unit, unit_id, key, etag, digest, unit_updated_at, sync_id)
             SELECT $1, $2, u.unit_id, u.key, u.etag, u.digest, u.unit_updated_at, $3
               FROM unnest($4::bigint[], $5::text[], $6::text[], $7::bytea[], $8::timestamptz[])
                    AS u (unit_id, key, etag, digest, unit_updated_at)
             ON CONFLICT (storage_id, unit, unit_id) DO UPDATE
                SET key = excluded.key, etag = excluded.etag, digest = excluded.digest, state = 'exported',
                    unit_updated_at = excluded.unit_updated_at, sync_id = excluded.sync_id, exported_at = now()",
        )
        .await?;
    tx.execute(
        &statement,
        &[
            &storage_id,
            &unit,
            &sync_id,
            &written.iter().map(|row| row.unit_id).collect::<Vec<_>>(),
            &written.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
            &written.iter().map(|row| row.etag.as_deref()).collect::<Vec<_>>(),
            &written.iter().map(|row| row.digest.as_slice()).collect::<Vec<_>>(),
            &written.iter().map(|row| row.unit_updated_at).collect::<Vec<_>>(),
        ],
    )
    .await?;
    Ok(())
}

/// Objects whose annotation or task was deleted, among the next `limit` rows of the table, in ascending order of
/// `(unit, unit_id)`. Also returns where the next page starts, or `None` after the last.
///
/// It reads only `limit` rows, so a page without deletions takes no longer than another. `annotations` is the host's
/// table of annotations.
pub async fn orphans(
    client: &impl GenericClient,
    annotations: &str,
    storage_id: i64,
    may_delete: bool,
    after: (&str, i64),
    limit: i64,
) -> Result<(Vec<Orphan>, Option<(String, i64)>)> {
    // Not prepared, as in `digests`.
    let text = format!(
        "WITH page AS (
                 SELECT unit, unit_id, key, state FROM exports
                  WHERE storage_id = $1 AND (unit, unit_id) > ($3, $4) ORDER BY unit, unit_id
                  -- A subquery hides the limit from the planner: if it expected fewer rows, it would read and sort all.
                  LIMIT (SELECT $5::bigint)
             ), judged AS (
                 SELECT unit, unit_id, key, row_number() OVER (ORDER BY unit, unit_id) = $5 AS at_end,
                        (state = 'exported' OR (state = 'kept' AND $2))
                        -- Not `NOT EXISTS`: the planner may read all annotations into a hash table for it.
                        AND CASE unit WHEN 'annotation' THEN (SELECT a.id FROM {annotations} a WHERE a.id = unit_id LIMIT 1)
                                      ELSE (SELECT a.id FROM {annotations} a WHERE a.task_id = unit_id LIMIT 1)
                            END IS NULL AS gone
                   FROM page
             )
             SELECT unit, unit_id, key, at_end, gone FROM judged WHERE gone OR at_end ORDER BY unit, unit_id"
    );
    let rows = client.query(&text, &[&storage_id, &may_delete, &after.0, &after.1, &limit]).await?;
    let next = rows.iter().find(|row| row.get("at_end")).map(|row| (row.get("unit"), row.get("unit_id")));
    let orphan = |row: &tokio_postgres::Row| Orphan { unit: row.get(0), unit_id: row.get(1), key: row.get(2) };
    Ok((rows.iter().filter(|row| row.get("gone")).map(orphan).collect(), next))
}

/// Records the new state of orphans: `deleted`, or `kept` if the storage may not delete objects.
pub async fn settle(tx: &Transaction<'_>, storage_id: i64, orphans: &[Orphan], state: &str) -> Result<()> {
    if orphans.is_empty() {
        return Ok(());
    }
    // Look up each row by its key and update it by its physical location (`ctid`): with a join, Postgres may read all
    // exports of the storage. The locations stay valid within one statement.
    tx.execute(
        "UPDATE exports SET state = $2 WHERE ctid = ANY (ARRAY(
             SELECT e.place FROM unnest($3::text[], $4::bigint[]) AS o (unit, unit_id)
              CROSS JOIN LATERAL (
                    SELECT ctid AS place FROM exports
                     WHERE storage_id = $1 AND unit = o.unit AND unit_id = o.unit_id LIMIT 1) e))",
        &[
            &storage_id,
            &state,
            &orphans.iter().map(|orphan| orphan.unit.as_str()).collect::<Vec<_>>(),
            &orphans.iter().map(|orphan| orphan.unit_id).collect::<Vec<_>>(),
        ],
    )
    .await?;
    Ok(())
}

/// Deletes the export records of a storage.
pub(crate) async fn delete_of_storage(tx: &Transaction<'_>, storage_id: i64) -> Result<()> {
    tx.execute("DELETE FROM exports WHERE storage_id = $1", &[&storage_id]).await?;
    Ok(())
}

/// Deletes at most `limit` export records of these storages.
pub(crate) async fn delete_some(tx: &Transaction<'_>, storages: &[i64], limit: i64) -> Result<()> {
    let text = "DELETE FROM exports WHERE ctid = ANY (ARRAY(
                    SELECT r.place FROM unnest($1::bigint[]) s (id)
                     CROSS JOIN LATERAL (SELECT ctid AS place FROM exports WHERE storage_id = s.id
                                          ORDER BY unit, unit_id LIMIT (SELECT $2::bigint)) r
                     LIMIT (SELECT $2::bigint)))";
    tx.execute(text, &[&storages, &limit]).await?;
    Ok(())
}

/// Whether the storage has exported anything.
pub async fn is_used(tx: &Transaction<'_>, storage_id: i64) -> Result<bool> {
    Ok(tx.query_opt("SELECT FROM exports WHERE storage_id = $1 LIMIT 1", &[&storage_id]).await?.is_some())
}
