//! Looks up the keys of a page in the ledger and in quarantine.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::collections::{HashMap, HashSet};

use longshore_model::QuarantineReason;
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
    /// In quarantine for this reason, and the object has not changed since.
    StillQuarantined(QuarantineReason),
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

/// The keys of a page, and how to look them up.
#[derive(Debug, Clone, Copy)]
pub struct ListedPage<'a> {
    /// Key and etag of each object.
    pub objects: &'a [(&'a str, Option<&'a str>)],
    /// How to look the keys up.
    pub mode: LookupMode,
    /// The listing is complete from the first of these texts to the last, the first one excluded. `None` if the keys of
    /// other pages may be between those of this one.
    pub covers: Option<(&'a str, &'a str)>,
    /// Whether to count the tasks of known objects as well, for [`PageStatus::existed_tasks`]. An object of which only some
    /// tasks are left is known, too.
    pub counts_tasks: bool,
}

/// The result of a look-up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageStatus {
    /// The status of each object, in the order of the page.
    pub statuses: Vec<KeyStatus>,
    /// Number of tasks of the objects that existed. 0 unless the page asks for it.
    pub existed_tasks: i64,
    /// Quarantined keys that the page covers and that are not among its objects: at most 5,000.
    pub unlisted: Vec<Unlisted>,
}

/// A quarantined key that a page does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlisted {
    /// ID of its row.
    pub id: i64,
    /// The object's key.
    pub key: String,
}

/// Looks up the objects of a page, and the quarantined keys that it lacks.
pub async fn look_up(
    client: &impl GenericClient,
    storage_id: i64,
    sync_id: i64,
    page: &ListedPage<'_>,
) -> Result<PageStatus> {
    let objects = page.objects;
    // Not the first and last element: a key that Postgres cannot store has a substitute name, which is out of order.
    let ends = objects.iter().map(|object| object.0).min().zip(objects.iter().map(|object| object.0).max());
    let mut scanned = (None, None);
    if let (LookupMode::Interval, Some((first, last))) = (page.mode, ends) {
        let (from, to) = page.covers.map_or((first, last), |(after, until)| (after.min(first), until.max(last)));
        let (ledger, entries) = tokio::try_join!(
            ledger_between(client, storage_id, sync_id, (first, last), page.counts_tasks),
            quarantine::between(client, storage_id, from, to, SCAN_LIMIT),
        )?;
        scanned = (Some(ledger), Some(entries));
    } else if let (Some((after, until)), None) = (page.covers, ends) {
        let entries = quarantine::between(client, storage_id, after, until, SCAN_LIMIT).await?;
        return Ok(PageStatus { unlisted: unlisted(page, &read_entries(&entries)?), ..PageStatus::default() });
    } else if ends.is_none() {
        return Ok(PageStatus::default());
    }
    let keys = || objects.iter().map(|object| object.0).collect::<Vec<_>>();
    let ledger = match scanned.0.filter(|row| row.get::<_, i64>("rows") < SCAN_LIMIT) {
        Some(row) => row,
        None => ledger_among(client, storage_id, sync_id, &keys(), page.counts_tasks).await?,
    };
    let in_interval = scanned.1.unwrap_or_default();
    let covered = read_entries(&in_interval)?;
    let among = match page.mode {
        LookupMode::Interval if (in_interval.len() as i64) < SCAN_LIMIT => Vec::new(),
        LookupMode::Interval | LookupMode::Each => quarantine::among(client, storage_id, &keys()).await?,
    };
    let mut entries = read_entries(&among)?;
    let unlisted = unlisted(page, &covered);
    entries.extend(covered);

    let names: Vec<&str> = ledger.get::<_, Option<_>>("keys").unwrap_or_default();
    let own: Vec<bool> = ledger.get::<_, Option<_>>("own").unwrap_or_default();
    let tasks: Vec<i64> = ledger.get::<_, Option<_>>("tasks").unwrap_or_default();
    let ledger: HashMap<&str, bool> = names.iter().copied().zip(own.iter().copied()).collect();
    let status = |(key, etag): &(&str, Option<&str>)| match (ledger.get(key), entries.get(key)) {
        (Some(true), _) => KeyStatus::Counted,
        (Some(false), _) => KeyStatus::Existed,
        (None, Some(entry)) => status_of(entry, *etag, sync_id),
        (None, None) => KeyStatus::New,
    };
    // Other keys may be between those of the page: the filter skips them.
    let listed: HashSet<&str> = objects.iter().map(|object| object.0).collect();
    let known = names.iter().zip(&own).zip(&tasks);
    let existed_tasks = known.filter(|((key, own), _)| !**own && listed.contains(*key)).map(|(_, tasks)| tasks).sum();
    Ok(PageStatus { statuses: objects.iter().map(status).collect(), existed_tasks, unlisted })
}

fn read_entries(rows: &[Row]) -> Result<HashMap<&str, Entry<'_>>> {
    rows.iter().map(Entry::read).collect()
}

/// The entries that a page covers and does not have.
fn unlisted(page: &ListedPage<'_>, entries: &HashMap<&str, Entry<'_>>) -> Vec<Unlisted> {
    let Some((after, until)) = page.covers.filter(|_| !entries.is_empty()) else { return Vec::new() };
    let listed: HashSet<&str> = page.objects.iter().map(|object| object.0).collect();
    let is_unlisted = |key: &str, entry: &Entry<'_>| {
        entry.has_key && !entry.is_discarded && key > after && key <= until && !listed.contains(key)
    };
    let found = entries.iter().filter(|(key, entry)| is_unlisted(key, entry));
    found.map(|(key, entry)| Unlisted { id: entry.id, key: (*key).to_owned() }).collect()
}

/// Returns one row with arrays. A thousand rows would cost database and worker several times as much.
async fn ledger_between(
    client: &impl GenericClient,
    storage_id: i64,
    sync_id: i64,
    (first, last): (&str, &str),
    counts_tasks: bool,
) -> Result<Row> {
    // `rows` is that of the ledger: at its limit, the last object may be incomplete.
    let text = if counts_tasks {
        "SELECT coalesce(sum(rows), 0)::bigint AS rows, array_agg(key) AS keys, array_agg(own) AS own,
                array_agg(tasks) AS tasks
           FROM (SELECT key, bool_or(sync_id = $2) AS own, count(task_id) AS tasks, count(*) AS rows FROM (
                     SELECT key, sync_id, task_id FROM objects
                      WHERE storage_id = $1 AND key >= $3 AND key <= $4 ORDER BY key LIMIT $5) page
                  GROUP BY key) by_key"
    } else {
        "SELECT count(*) AS rows, array_agg(key) AS keys, array_agg(sync_id = $2) AS own, NULL::bigint[] AS tasks FROM (
             SELECT key, sync_id FROM objects
              WHERE storage_id = $1 AND key >= $3 AND key <= $4 AND row_index = 0
              ORDER BY key LIMIT $5) page"
    };
    let scan = client.prepare_typed_cached(text, &[Type::INT8, Type::INT8, Type::TEXT, Type::TEXT, Type::INT8]).await?;
    Ok(client.query_one(&scan, &[&storage_id, &sync_id, &first, &last, &SCAN_LIMIT]).await?)
}

/// One look-up per key: `LIMIT 1` and `OFFSET 0` force that plan, whatever the statistics are. With `ANY` of a thousand
/// keys, after the table had grown since its last analyze, the planner chose to read all rows of the storage. Not
/// prepared: Postgres would keep a plan that it made for a tiny table.
async fn ledger_among(
    client: &impl GenericClient,
    storage_id: i64,
    sync_id: i64,
    keys: &[&str],
    counts_tasks: bool,
) -> Result<Row> {
    let probe = if counts_tasks {
        "SELECT array_agg(o.key) AS keys, array_agg(o.own) AS own, array_agg(o.tasks) AS tasks
           FROM unnest($3::text[]) AS page (key)
          CROSS JOIN LATERAL (
                SELECT page.key, bool_or(sync_id = $2) AS own, count(task_id) AS tasks FROM (
                       SELECT sync_id, task_id FROM objects WHERE storage_id = $1 AND key = page.key OFFSET 0) rows
                HAVING count(*) > 0) o"
    } else {
        "SELECT array_agg(o.key) AS keys, array_agg(o.sync_id = $2) AS own, NULL::bigint[] AS tasks
           FROM unnest($3::text[]) AS page (key)
          CROSS JOIN LATERAL (
                SELECT key, sync_id FROM objects
                 WHERE storage_id = $1 AND key = page.key AND row_index = 0 LIMIT 1) o"
    };
    Ok(client.query_one(probe, &[&storage_id, &sync_id, &keys]).await?)
}

/// The status of a key that is in quarantine and not in the ledger.
fn status_of(entry: &Entry<'_>, etag: Option<&str>, sync_id: i64) -> KeyStatus {
    if entry.sync_id == sync_id && entry.is_open {
        KeyStatus::Counted
    } else if entry.stays && entry.etag == etag {
        if entry.is_discarded { KeyStatus::Existed } else { KeyStatus::StillQuarantined(entry.reason) }
    } else {
        KeyStatus::Retry
    }
}
