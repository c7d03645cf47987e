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
            "SELECT key, sync_id, etag, state, reason FROM quarantine WHERE storage_id = $1 AND key >= $2 AND key <= $3
              ORDER BY key LIMIT $4",
        )
        .await?;
    Ok(client.query(&scan, &[&storage_id, &first, &last, &limit]).await?)
}

/// The rows of these keys. One look-up per key, and not prepared, for the same reasons as the look-up in the ledger
/// (`objects/lookup.rs`).
pub(crate) async fn among(client: &impl GenericClient, storage_id: i64, keys: &[&str]) -> Result<Vec<Row>> {
    let probe = "SELECT q.key, q.sync_id, q.etag, q.state, q.reason
               FROM unnest($2::text[]) AS page (key)
              CROSS JOIN LATERAL (
                    SELECT key, sync_id, etag, state, reason FROM quarantine
                     WHERE storage_id = $1 AND key = page.key LIMIT 1) q";
    Ok(client.query(probe, &[&storage_id, &keys]).await?)
}

/// The entry of a key in quarantine.
pub(crate) struct Entry<'a> {
    /// ID of the sync that wrote the row.
    pub(crate) sync_id: i64,
    /// Version of the object when it was quarantined.
    pub(crate) etag: Option<&'a str>,
    /// Whether to skip the object while its etag stays the same.
    pub(crate) stays: bool,
    /// Whether no user has decided about it.
    pub(crate) is_open: bool,
    /// Whether a user discarded it.
    pub(crate) is_discarded: bool,
}

impl<'a> Entry<'a> {
    /// Reads the key and the entry of a row.
    pub(crate) fn read(row: &'a Row) -> Result<(&'a str, Self)> {
        let reason: QuarantineReason = word(row, "reason")?;
        let state: &str = row.get("state");
        let entry = Self {
            sync_id: row.get("sync_id"),
            etag: row.get("etag"),
            is_open: state == "open",
            stays: state == "discarded" || (state == "open" && !reason.is_transient()),
            is_discarded: state == "discarded",
        };
        Ok((row.get("key"), entry))
    }
}
