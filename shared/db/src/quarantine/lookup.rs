//! Looks up the keys of a page in quarantine.

use longshore_model::QuarantineReason;
use tokio_postgres::Row;

use crate::row::word;
use crate::{GenericClient, Result};

/// The rows from key `first` to key `last`, at most `limit`.
pub(crate) async fn between(
    client: &impl GenericClient,
    storage_id: i64,
    first: &str,
    last: &str,
    limit: i64,
) -> Result<Vec<Row>> {
    let scan = client
        .prepare_cached(
            "SELECT id, key, sync_id, etag, state, reason FROM quarantine WHERE storage_id = $1 AND key >= $2 AND key <= $3
              ORDER BY key LIMIT $4",
        )
        .await?;
    Ok(client.query(&scan, &[&storage_id, &first, &last, &limit]).await?)
}

/// The rows of these keys. One look-up per key, and not prepared, for the same reasons as the look-up in the ledger
/// (`objects/lookup.rs`).
pub(crate) async fn among(client: &impl GenericClient, storage_id: i64, keys: &[&str]) -> Result<Vec<Row>> {
    let probe = "SELECT q.id, q.key, q.sync_id, q.etag, q.state, q.reason
               FROM unnest($2::text[]) AS page (key)
              CROSS JOIN LATERAL (
                    SELECT id, key, sync_id, etag, state, reason FROM quarantine
                     WHERE storage_id = $1 AND key = page.key LIMIT 1) q";
    Ok(client.query(probe, &[&storage_id, &keys]).await?)
}

/// ID and key of rows that an earlier sync wrote, in ascending order of their keys.
///
/// At most `limit` of those whose key starts with `prefix` and comes after `after`. Leaves out keys that Postgres cannot
/// store and discarded objects.
pub async fn open_below(
    client: &impl GenericClient,
    storage_id: i64,
    sync_id: i64,
    prefix: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<(i64, String)>> {
    let text = "SELECT id, key FROM quarantine
                 WHERE storage_id = $1 AND key > $2 AND key >= $4 AND sync_id <> $3 AND starts_with(key, $4)
                   AND state <> 'discarded' AND reason <> 'unsupported_key'
                 ORDER BY key LIMIT $5";
    let rows = client.query(text, &[&storage_id, &after, &sync_id, &prefix, &limit]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The entry of a key in quarantine.
pub(crate) struct Entry<'a> {
    pub(crate) id: i64,
    /// ID of the sync that wrote the row.
    pub(crate) sync_id: i64,
    /// Why the object is in quarantine.
    pub(crate) reason: QuarantineReason,
    /// Version of the object when it was quarantined.
    pub(crate) etag: Option<&'a str>,
    /// Whether to skip the object while its etag stays the same.
    pub(crate) stays: bool,
    /// Whether no user has decided about it.
    pub(crate) is_open: bool,
    /// Whether a user discarded it.
    pub(crate) is_discarded: bool,
    /// Whether the row has the object's key, and not a substitute for one that Postgres cannot store.
    pub(crate) has_key: bool,
}

impl<'a> Entry<'a> {
    /// Reads the key and the entry of a row.
    pub(crate) fn read(row: &'a Row) -> Result<(&'a str, Self)> {
        let reason: QuarantineReason = word(row, "reason")?;
        let state: &str = row.get("state");
        let etag: Option<&str> = row.get("etag");
        // The listing shows this fault, so a new listing shows whether it is still there.
        let is_listed_fault = etag.is_some_and(|etag| etag.starts_with('!'));
        let entry = Self {
            id: row.get("id"),
            sync_id: row.get("sync_id"),
            reason,
            etag,
            is_open: state == "open",
            stays: state == "discarded" || (state == "open" && (is_listed_fault || !reason.is_transient())),
            is_discarded: state == "discarded",
            has_key: reason != QuarantineReason::UnsupportedKey,
        };
        Ok((row.get("key"), entry))
    }
}
