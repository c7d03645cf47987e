//! What ledger and quarantine know of the keys of a page.

use std::collections::HashMap;

use crate::GenericClient;
use longshore_model::QuarantineReason;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::Result;
use crate::row::word;

/// How many rows the scan of an interval may return before single look-ups are cheaper.
///
/// A page asks for at most 1,000 keys. Where millions of objects were removed from the bucket their
/// rows still lie between two keys of a page, and reading them all would cost memory without bound.
const SCAN_LIMIT: i64 = 5_000;

/// What to do with a listed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Neither in the ledger nor set aside: import it.
    New,
    /// In the ledger.
    Existed,
    /// Set aside and unchanged since.
    StillQuarantined,
    /// Set aside, but changed since, asked for again, or worth another try: import it.
    Again,
    /// Dealt with and counted by this very sync, in a part of a page that committed before a stop.
    Counted,
}

/// How to look keys up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// By one ordered scan from the first to the last of them, where a listing has no others in between.
    Interval,
    /// One by one: between keys of no order may lie all others.
    Each,
}

/// How listed objects, keys and etags, stand in a sync; in their order.
///
/// # Errors
/// The database is away.
pub async fn standings(
    client: &impl GenericClient,
    storage_id: i64,
    sync_id: i64,
    objects: &[(&str, Option<&str>)],
    look: Look,
) -> Result<Vec<Standing>> {
    // Not the first and the last: the name of a key that no text can hold is in no order.
    let (first, last) = (objects.iter().map(|object| object.0).min(), objects.iter().map(|object| object.0).max());
    let (Some(first), Some(last)) = (first, last) else { return Ok(Vec::new()) };
    let scanned = if look == Look::Interval {
        let (ledger, aside) = tokio::try_join!(
            ledger_between(client, storage_id, sync_id, first, last),
            aside_between(client, storage_id, first, last),
        )?;
        (Some(ledger), Some(aside))
    } else {
        (None, None)
    };
    let keys = || objects.iter().map(|object| object.0).collect::<Vec<_>>();
    let ledger = match scanned.0.filter(|row| row.get::<_, i64>("rows") < SCAN_LIMIT) {
        Some(row) => row,
        None => ledger_among(client, storage_id, sync_id, &keys()).await?,
    };
    let aside = match scanned.1.filter(|rows| (rows.len() as i64) < SCAN_LIMIT) {
        Some(rows) => rows,
        None => aside_among(client, storage_id, &keys()).await?,
    };

    let names: Vec<&str> = ledger.get::<_, Option<_>>("keys").unwrap_or_default();
    let own: Vec<bool> = ledger.get::<_, Option<_>>("own").unwrap_or_default();
    let ledger: HashMap<&str, bool> = names.into_iter().zip(own).collect();
    let aside = aside.iter().map(Aside::read).collect::<Result<HashMap<&str, Aside<'_>>>>()?;
    let standing = |(key, etag): &(&str, Option<&str>)| match (ledger.get(key), aside.get(key)) {
        (Some(true), _) => Standing::Counted,
        (Some(false), _) => Standing::Existed,
        (None, Some(aside)) => aside.standing(*etag, sync_id),
        (None, None) => Standing::New,
    };
    Ok(objects.iter().map(standing).collect())
}

/// The ledger's keys come as one row of lists: a thousand rows would cost both sides several times as much.
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

/// One look-up for each key: the limit leaves the planner no other way, whatever it knows of the table. `ANY` of a
/// thousand keys looked to it like all rows of the storage while the table had grown since it was last analyzed. Not
/// cached: a plan made while the table was tiny would be kept for when it is large.
async fn ledger_among(client: &impl GenericClient, storage_id: i64, sync_id: i64, keys: &[&str]) -> Result<Row> {
    let probe = "SELECT array_agg(o.key) AS keys, array_agg(o.sync_id = $2) AS own
               FROM unnest($3::text[]) AS page (key)
              CROSS JOIN LATERAL (
                    SELECT key, sync_id FROM objects
                     WHERE storage_id = $1 AND key = page.key AND row_index = 0 LIMIT 1) o";
    Ok(client.query_one(probe, &[&storage_id, &sync_id, &keys]).await?)
}

async fn aside_between(client: &impl GenericClient, storage_id: i64, first: &str, last: &str) -> Result<Vec<Row>> {
    let scan = client
        .prepare_cached(
            "SELECT key, sync_id, etag, state, reason FROM quarantine WHERE storage_id = $1 AND key >= $2 AND key <= $3
              ORDER BY key LIMIT $4",
        )
        .await?;
    Ok(client.query(&scan, &[&storage_id, &first, &last, &SCAN_LIMIT]).await?)
}

/// As [`ledger_among`].
async fn aside_among(client: &impl GenericClient, storage_id: i64, keys: &[&str]) -> Result<Vec<Row>> {
    let probe = "SELECT q.key, q.sync_id, q.etag, q.state, q.reason
               FROM unnest($2::text[]) AS page (key)
              CROSS JOIN LATERAL (
                    SELECT key, sync_id, etag, state, reason FROM quarantine
                     WHERE storage_id = $1 AND key = page.key LIMIT 1) q";
    Ok(client.query(probe, &[&storage_id, &keys]).await?)
}

/// What quarantine says of a key.
struct Aside<'a> {
    /// The sync that set it aside.
    sync_id: i64,
    etag: Option<&'a str>,
    /// Not read again while its etag stays the same.
    stays: bool,
    /// Neither given up nor asked for again.
    open: bool,
    /// A user gave it up.
    discarded: bool,
}

impl<'a> Aside<'a> {
    fn read(row: &'a Row) -> Result<(&'a str, Self)> {
        let reason: QuarantineReason = word(row, "reason")?;
        let state: &str = row.get("state");
        let aside = Self {
            sync_id: row.get("sync_id"),
            etag: row.get("etag"),
            open: state == "open",
            stays: state == "discarded" || (state == "open" && !reason.is_transient()),
            discarded: state == "discarded",
        };
        Ok((row.get("key"), aside))
    }

    fn standing(&self, etag: Option<&str>, sync_id: i64) -> Standing {
        if self.sync_id == sync_id && self.open {
            Standing::Counted
        } else if self.stays && self.etag == etag {
            if self.discarded { Standing::Existed } else { Standing::StillQuarantined }
        } else {
            Standing::Again
        }
    }
}
