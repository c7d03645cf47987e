//! The ledger, table `objects`: what each key became, and what import adds to it page by page.

use futures::pin_mut;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use longshore_model::QuarantineReason;
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use crate::jobs::word;
use crate::{Result, Transaction};

/// How many rows the interval scan may return before single look-ups are cheaper.
///
/// A page asks for at most 1,000 keys. Where millions of objects were removed from the bucket their
/// rows still lie between two keys of a page, and reading them all would cost memory without bound.
const SCAN_LIMIT: i64 = 5_000;

/// What is known of the keys of a page.
#[derive(Debug, Default)]
pub struct Known {
    /// The sync that wrote each key's row.
    imported: HashMap<String, i64>,
    quarantined: HashMap<String, Aside>,
}

/// What quarantine says of a key.
#[derive(Debug, Clone)]
struct Aside {
    /// The sync that set it aside.
    sync_id: i64,
    etag: Option<String>,
    /// Not read again while its etag stays the same.
    stays: bool,
    /// Neither given up nor asked for again.
    open: bool,
    /// A user gave it up.
    discarded: bool,
}

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

impl Known {
    /// How a listed object stands in a sync.
    pub fn standing(&self, key: &str, etag: Option<&str>, sync_id: i64) -> Standing {
        if let Some(&by) = self.imported.get(key) {
            return if by == sync_id { Standing::Counted } else { Standing::Existed };
        }
        match self.quarantined.get(key) {
            None => Standing::New,
            Some(aside) if aside.sync_id == sync_id && aside.open => Standing::Counted,
            Some(aside) if aside.stays && aside.etag.as_deref() == etag => {
                if aside.discarded {
                    Standing::Existed
                } else {
                    Standing::StillQuarantined
                }
            }
            Some(_) => Standing::Again,
        }
    }
}

/// Looks up the keys of a page, given in ascending byte order, by one ordered scan of their interval.
///
/// # Errors
/// The database is away.
pub async fn known(client: &impl GenericClient, storage_id: i64, keys: &[&str]) -> Result<Known> {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(Known::default()) };
    let scan = client
        .prepare_typed_cached(
            "SELECT key, sync_id FROM objects WHERE storage_id = $1 AND key >= $2 AND key <= $3 AND row_index = 0
              ORDER BY key LIMIT $4",
            &[Type::INT8, Type::TEXT, Type::TEXT, Type::INT8],
        )
        .await?;
    let mut imported = client.query(&scan, &[&storage_id, first, last, &SCAN_LIMIT]).await?;
    if imported.len() as i64 == SCAN_LIMIT {
        imported = imported_among(client, storage_id, keys).await?;
    }
    let scan = client
        .prepare_cached(
            "SELECT key, sync_id, etag, state, reason FROM quarantine WHERE storage_id = $1 AND key >= $2 AND key <= $3
              ORDER BY key LIMIT $4",
        )
        .await?;
    let mut aside = client.query(&scan, &[&storage_id, first, last, &SCAN_LIMIT]).await?;
    if aside.len() as i64 == SCAN_LIMIT {
        aside = aside_among(client, storage_id, keys).await?;
    }
    read_known(&imported, &aside)
}

/// Looks up keys of no order, one by one: between the first and the last of them may lie all others.
///
/// # Errors
/// The database is away.
pub async fn known_among(client: &impl GenericClient, storage_id: i64, keys: &[&str]) -> Result<Known> {
    if keys.is_empty() {
        return Ok(Known::default());
    }
    let imported = imported_among(client, storage_id, keys).await?;
    let aside = aside_among(client, storage_id, keys).await?;
    read_known(&imported, &aside)
}

async fn imported_among(client: &impl GenericClient, storage_id: i64, keys: &[&str]) -> Result<Vec<Row>> {
    let probe = client
        .prepare_cached("SELECT key, sync_id FROM objects WHERE storage_id = $1 AND key = ANY ($2) AND row_index = 0")
        .await?;
    Ok(client.query(&probe, &[&storage_id, &keys]).await?)
}

async fn aside_among(client: &impl GenericClient, storage_id: i64, keys: &[&str]) -> Result<Vec<Row>> {
    let probe = client
        .prepare_cached(
            "SELECT key, sync_id, etag, state, reason FROM quarantine WHERE storage_id = $1 AND key = ANY ($2)",
        )
        .await?;
    Ok(client.query(&probe, &[&storage_id, &keys]).await?)
}

fn read_known(imported: &[Row], aside: &[Row]) -> Result<Known> {
    let imported = imported.iter().map(|row| (row.get(0), row.get(1))).collect();
    let quarantined = aside.iter().map(read_aside).collect::<Result<_>>()?;
    Ok(Known { imported, quarantined })
}

fn read_aside(row: &Row) -> Result<(String, Aside)> {
    let reason: QuarantineReason = word(row, "reason")?;
    let state: &str = row.get("state");
    let aside = Aside {
        sync_id: row.get("sync_id"),
        etag: row.get("etag"),
        open: state == "open",
        stays: state == "discarded" || (state == "open" && !reason.is_transient()),
        discarded: state == "discarded",
    };
    Ok((row.get("key"), aside))
}

/// A ledger row to write.
#[derive(Debug, Clone)]
pub struct NewObject<'a> {
    pub key: &'a str,
    pub row_index: i32,
    pub task_id: Option<i64>,
    pub etag: Option<&'a str>,
    pub size: i64,
    pub modified_at: Option<DateTime<Utc>>,
}

/// Copies rows into the ledger.
///
/// The caller's job owns the keys by its fence, so there is nothing to conflict with; the primary
/// key is the last line of defence.
///
/// # Errors
/// A unique violation if a key is in the ledger already: the page must be read again.
pub async fn insert(tx: &Transaction<'_>, storage_id: i64, sync_id: i64, rows: &[NewObject<'_>]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let copy = tx
        .prepare_cached(
            "COPY objects (storage_id, key, row_index, task_id, etag, size, modified_at, sync_id)
             FROM STDIN (FORMAT binary)",
        )
        .await?;
    let sink = tx.copy_in(&copy).await?;
    let types = [Type::INT8, Type::TEXT, Type::INT4, Type::INT8, Type::TEXT, Type::INT8, Type::TIMESTAMPTZ, Type::INT8];
    let writer = BinaryCopyInWriter::new(sink, &types);
    pin_mut!(writer);
    for row in rows {
        writer
            .as_mut()
            .write(&[
                &storage_id,
                &row.key,
                &row.row_index,
                &row.task_id,
                &row.etag,
                &row.size,
                &row.modified_at,
                &sync_id,
            ])
            .await?;
    }
    writer.finish().await?;
    Ok(())
}

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
        tx.execute("DELETE FROM quarantine WHERE storage_id = $1 AND key = ANY ($2)", &[&storage_id, &keys]).await?;
    }
    Ok(())
}
