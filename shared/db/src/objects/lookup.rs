//! Looks up the keys of a page in the ledger and in quarantine.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::collections::HashMap;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::quarantine::{self, Entry};
use crate::{GenericClient, Result};

/// The most rows that the scan of an interval may return. Above that, single look-ups are cheaper.
///
/// A page has at most 1,000 keys. If millions of objects were deleted from the bucket, their ledger rows are still
/// between two keys of the page, and reading all of them would need unlimited memory.
const SCAN_LIMIT: i64 = 5_000;

/// The status of a listed key, which decides whether to import it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    /// Neither in the ledger nor in quarantine: import it.
    New,
    /// In the ledger.
    Existed,
    /// In quarantine, and the object has not changed since.
    StillQuarantined,
    /// In quarantine, but changed since, marked for replay, or there for a transient reason: import it.
    Retry,
    /// Done and counted by this sync already, in a part of a page that committed before a stop.
    Counted,
}

/// How to look keys up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupMode {
    /// By one ordered scan from the first to the last key. For listings in byte order.
    Interval,
    /// One by one. For listings in no order: all other keys may be between the first and the last.
    Each,
}

/// Returns the status of listed objects, given by key and etag, in the same order.
pub async fn look_up(
    client: &impl GenericClient,
    storage_id: i64,
    sync_id: i64,
    objects: &[(&str, Option<&str>)],
    mode: LookupMode,
) -> Result<Vec<KeyStatus>> {
    // Not the first and last element: a key that Postgres cannot store has a substitute name, which is out of order.
    let (first, last) = (objects.iter().map(|object| object.0).min(), objects.iter().map(|object| object.0).max());
    let (Some(first), Some(last)) = (first, last) else { return Ok(Vec::new()) };
    let scanned = if mode == LookupMode::Interval {
        let (ledger, entries) = tokio::try_join!(
            ledger_between(client, storage_id, sync_id, first, last),
            quarantine::between(client, storage_id, first, last, SCAN_LIMIT),
        )?;
        (Some(ledger), Some(entries))
    } else {
        (None, None)
    };
    let keys = || objects.iter().map(|object| object.0).collect::<Vec<_>>();
    let ledger = match scanned.0.filter(|row| row.get::<_, i64>("rows") < SCAN_LIMIT) {
        Some(row) => row,
        None => ledger_among(client, storage_id, sync_id, &keys()).await?,
    };
    let entries = match scanned.1.filter(|rows| (rows.len() as i64) < SCAN_LIMIT) {
        Some(rows) => rows,
        None => quarantine::among(client, storage_id, &keys()).await?,
    };

    let names: Vec<&str> = ledger.get::<_, Option<_>>("keys").unwrap_or_default();
    let own: Vec<bool> = ledger.get::<_, Option<_>>("own").unwrap_or_default();
    let ledger: HashMap<&str, bool> = names.into_iter().zip(own).collect();
    let entries = entries.iter().map(Entry::read).collect::<Result<HashMap<&str, Entry<'_>>>>()?;
    let status = |(key, etag): &(&str, Option<&str>)| match (ledger.get(key), entries.get(key)) {
        (Some(true), _) => KeyStatus::Counted,
        (Some(false), _) => KeyStatus::Existed,
        (None, Some(entry)) => status_of(entry, *etag, sync_id),
        (None, None) => KeyStatus::New,
    };
    Ok(objects.iter().map(status).collect())
}

/// Returns one row with arrays. A thousand rows would cost database and worker several times as much.
async fn ledger_between(
    client: &impl GenericClient,
    storage_id: i64,
    sync_id: i64,
    first: &str,
    last: &str,
) -> Result<Row> {
    let scan = client
        .prepare_typed_cached(
            "SELECT count(*) AS rows, array_agg(key) AS keys, array_agg(sync_id = $2) AS own FROM (
                 SELECT key, sync_id FROM objects
                  WHERE storage_id = $1 AND key >= $3 AND key <= $4 AND row_index = 0
                  ORDER BY key LIMIT $5) page",
            &[Type::INT8, Type::INT8, Type::TEXT, Type::TEXT, Type::INT8],
        )
        .await?;
    Ok(client.query_one(&scan, &[&storage_id, &sync_id, &first, &last, &SCAN_LIMIT]).await?)
}

/// One look-up per key: `LIMIT 1` forces that plan, whatever the statistics are. With `ANY` of a thousand keys, after
/// the table had grown since its last analyze, the planner chose to read all rows of the storage. Not prepared:
/// Postgres would keep a plan that it made for a tiny table.
async fn ledger_among(client: &impl GenericClient, storage_id: i64, sync_id: i64, keys: &[&str]) -> Result<Row> {
    let probe = "SELECT array_agg(o.key) AS keys, array_agg(o.sync_id = $2) AS own
               FROM unnest($3::text[]) AS page (key)
              CROSS JOIN LATERAL (
                    SELECT key, sync_id FROM objects
                     WHERE storage_id = $1 AND key = page.key AND row_index = 0 LIMIT 1) o";
    Ok(client.query_one(probe, &[&storage_id, &sync_id, &keys]).await?)
}

/// The status of a key that is in quarantine and not in the ledger.
fn status_of(entry: &Entry<'_>, etag: Option<&str>, sync_id: i64) -> KeyStatus {
    if entry.sync_id == sync_id && entry.is_open {
        KeyStatus::Counted
    } else if entry.stays && entry.etag == etag {
        if entry.is_discarded { KeyStatus::Existed } else { KeyStatus::StillQuarantined }
    } else {
        KeyStatus::Retry
    }
}
