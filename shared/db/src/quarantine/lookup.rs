//! What quarantine knows of the keys of a page.

use longshore_model::QuarantineReason;
use tokio_postgres::Row;

use crate::row::word;
use crate::{GenericClient, Result};

/// The rows from one key to another, at most `limit`.
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

/// The rows of these keys. One look-up for each key and not cached, for the reasons in [`crate::objects::look_up`].
pub(crate) async fn among(client: &impl GenericClient, storage_id: i64, keys: &[&str]) -> Result<Vec<Row>> {
    let probe = "SELECT q.key, q.sync_id, q.etag, q.state, q.reason
               FROM unnest($2::text[]) AS page (key)
              CROSS JOIN LATERAL (
                    SELECT key, sync_id, etag, state, reason FROM quarantine
                     WHERE storage_id = $1 AND key = page.key LIMIT 1) q";
    Ok(client.query(probe, &[&storage_id, &keys]).await?)
}

/// What quarantine says of a key.
pub(crate) struct Entry<'a> {
    /// The sync that wrote the row.
    pub(crate) sync_id: i64,
    /// Version of the object when it was quarantined.
    pub(crate) etag: Option<&'a str>,
    /// Not read again while its etag stays the same.
    pub(crate) stays: bool,
    /// Neither discarded nor to be replayed.
    pub(crate) is_open: bool,
    /// A user discarded it.
    pub(crate) is_discarded: bool,
}

impl<'a> Entry<'a> {
    /// Reads the key and its entry.
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
