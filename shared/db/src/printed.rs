//! Reads JSON columns in two steps: first the sizes of the printed texts, then only the texts that fit.
//!
//! `jsonb` can print much longer than it is stored: 80 kB of `1e131071` print as 1 GB, 120 kB of blanks as 10 MB. So a
//! reader gets the sizes, decides, and gets texts by ID. Neither step prints a text that is not shown.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::pin::pin;

use crate::GenericClient;
use deadpool_postgres::GenericClient as _;
use futures::TryStreamExt;
use tokio_postgres::Row;

use crate::{Error, Result};

/// The most stored bytes whose sizes one statement computes. TOAST compresses by a factor of at most about 250, so one
/// statement decompresses at most 256 MiB. A lower limit costs round trips; a higher one lets one request occupy a
/// database core.
const MAX_STORED: i64 = 1024 * 1024;

/// The most unreadable rows of one table in one answer. Each may cost Postgres a second of printing, so after this many
/// the rest is not read.
const MAX_UNREADABLE: usize = 4;

/// The size of a row that Postgres cannot print.
pub const UNPRINTABLE: i64 = i64::MAX;

/// A table with JSON columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonTable {
    /// `data` and `meta`.
    Tasks,
    /// `result`.
    Annotations,
    /// `result`.
    Predictions,
}

impl JsonTable {
    const fn name(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Annotations => "annotations",
            Self::Predictions => "predictions",
        }
    }

    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Tasks => &["data", "meta"],
            Self::Annotations | Self::Predictions => &["result"],
        }
    }
}

/// A row's ID and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizedRow {
    /// ID of the row.
    pub id: i64,
    /// Stored or printed bytes, see the function that takes or returns it.
    pub bytes: i64,
}

/// The printed JSON columns of one row, borrowed from the database's answer, not copied.
#[derive(Debug, Clone)]
pub struct JsonText(Row);

impl JsonText {
    /// The ID of the row.
    pub fn id(&self) -> i64 {
        self.0.get(0)
    }

    /// `data` of a task, or `result` of an annotation or prediction.
    pub fn first(&self) -> &str {
        self.0.get::<_, Option<&str>>(1).unwrap_or("null")
    }

    /// `meta` of a task.
    pub fn second(&self) -> &str {
        if self.0.len() > 2 { self.0.get::<_, Option<&str>>(2).unwrap_or("null") } else { "null" }
    }

    /// Bytes of the whole row.
    pub fn bytes(&self) -> usize {
        self.0.raw_size_bytes()
    }
}

/// The texts of the rows that fit.
#[derive(Debug, Clone, Default)]
pub struct PrintedTexts {
    /// The texts, in the order of the requested IDs.
    pub texts: Vec<JsonText>,
    /// IDs of rows that Postgres could not print.
    pub unprintable: Vec<i64>,
}

/// SQL for the printed bytes of a `jsonb` column, without printing it.
///
/// The decompressed column is about as long as its text, except for numbers; their digits are counted. Control
/// characters print as six bytes but count as one, so readers must also count the bytes that they get. The SQL reads
/// each element once: 1,000 rows of 200 elements took 230 ms, printing them 95 ms (PostgreSQL 15).
pub(crate) fn printed(column: &str) -> String {
    // `#> '{}'` decompresses the column, and `OFFSET 0` prevents that the planner repeats this for each use. The
    // numbers are read as an array, because `jsonb_path_query` takes quadratic time in their count.
    format!(
        "(SELECT greatest(pg_column_size(raw) - pg_column_size(numbers) + coalesce((
                     SELECT sum(3 + scale(n) + CASE WHEN abs(n) < 1e3 THEN 3 WHEN abs(n) < 1e10 THEN 10
                                WHEN abs(n) < 1e20 THEN 20 WHEN abs(n) < 1e400 THEN 400 WHEN abs(n) < 1e4000 THEN 4000
                                WHEN abs(n) < 1e40000 THEN 40000 ELSE 131072 END)
                       FROM (SELECT v::numeric AS n FROM jsonb_array_elements(numbers) v) each), 0), 0)::bigint
            FROM (SELECT raw, jsonb_path_query_array(raw, 'strict $.** ? (@.type() == \"number\")') AS numbers
                    FROM (SELECT {column} #> '{{}}' AS raw OFFSET 0) unpacked OFFSET 0) sized)"
    )
}

/// The printed bytes of rows, in the order of `rows`, until they are more than `most` together.
///
/// `rows` have stored bytes. The last returned row may exceed `most`; rows after it were not read. A row whose size
/// Postgres cannot compute has [`UNPRINTABLE`]; a row that does not exist is left out.
pub async fn sizes(
    client: &impl GenericClient,
    table: JsonTable,
    rows: &[SizedRow],
    most: i64,
) -> Result<Vec<SizedRow>> {
    let (mut sizes, mut sum, mut rest) = (Vec::with_capacity(rows.len()), 0_i64, rows);
    while let Some((first, others)) = rest.split_first() {
        if sum > most {
            break;
        }
        let mut stored = first.bytes;
        let more = others.iter().take_while(|row| {
            stored = stored.saturating_add(row.bytes);
            stored <= MAX_STORED
        });
        let (now, later) = rest.split_at(1 + more.count());
        rest = later;
        let ids: Vec<i64> = now.iter().map(|row| row.id).collect();
        let found = match sizes_of(client, table, &ids).await {
            Err(error) if error.is_unreadable_row() => one_by_one(client, table, &ids).await?,
            found => found?,
        };
        sum = found.iter().fold(sum, |sum, row| sum.saturating_add(row.bytes));
        sizes.extend(found);
    }
    Ok(sizes)
}

async fn sizes_of(client: &impl GenericClient, table: JsonTable, ids: &[i64]) -> Result<Vec<SizedRow>> {
    let bytes: Vec<String> = table.columns().iter().map(|column| printed(&format!("t.{column}"))).collect();
    // `LIMIT 1` forces one look-up by key for each ID, whatever the statistics are.
    let text = format!(
        "SELECT found.id, found.bytes FROM unnest($1::bigint[]) wanted (id)
          CROSS JOIN LATERAL (SELECT t.id, {} AS bytes FROM {} t WHERE t.id = wanted.id LIMIT 1) found",
        bytes.join(" + "),
        table.name()
    );
    let statement = client.prepare_cached(&text).await?;
    let rows = client.query(&statement, &[&ids]).await?;
    Ok(rows.iter().map(|row| SizedRow { id: row.get(0), bytes: row.get(1) }).collect())
}

/// Reads the sizes row by row, so that one unreadable row does not hide the sizes of the others.
async fn one_by_one(client: &impl GenericClient, table: JsonTable, ids: &[i64]) -> Result<Vec<SizedRow>> {
    let mut sizes = Vec::with_capacity(ids.len());
    for id in ids {
        match sizes_of(client, table, &[*id]).await {
            Err(error) if error.is_unreadable_row() => sizes.push(SizedRow { id: *id, bytes: UNPRINTABLE }),
            found => sizes.extend(found?),
        }
    }
    Ok(sizes)
}

/// The texts of these rows, in this order, until they are more than `most` bytes together.
///
/// The first row is returned whatever its size. Rows that do not exist are left out, and so are rows after `most`.
pub async fn texts(client: &impl GenericClient, table: JsonTable, ids: &[i64], most: usize) -> Result<PrintedTexts> {
    let columns: Vec<String> = table.columns().iter().map(|column| format!("t.{column}::text")).collect();
    let text = format!(
        "SELECT wanted.id, found.* FROM unnest($1::bigint[]) wanted (id)
           LEFT JOIN LATERAL (SELECT {} FROM {} t WHERE t.id = wanted.id LIMIT 1) found ON true",
        columns.join(", "),
        table.name()
    );
    let statement = client.prepare_cached(&text).await?;
    let (mut printed, mut sum, mut rest) = (PrintedTexts::default(), 0, ids);
    while !rest.is_empty() {
        let mut stream = pin!(client.driver().query_raw(&statement, [&rest]).await?);
        let mut seen = 0;
        let unprintable = loop {
            match stream.try_next().await.map_err(Error::from) {
                Ok(Some(row)) => {
                    seen += 1;
                    let text = JsonText(row);
                    sum += text.bytes();
                    if sum > most && !printed.texts.is_empty() {
                        return Ok(printed);
                    }
                    if text.0.get::<_, Option<&str>>(1).is_some() {
                        printed.texts.push(text);
                    }
                }
                Ok(None) => return Ok(printed),
                // Rows arrive in the order of the IDs, so the unreadable row is the one after the rows seen so far.
                Err(error) if error.is_unreadable_row() => break rest.get(seen),
                Err(error) => return Err(error),
            }
        };
        printed.unprintable.extend(unprintable);
        if printed.unprintable.len() > MAX_UNREADABLE {
            break;
        }
        rest = rest.get(seen + 1..).unwrap_or_default();
    }
    Ok(printed)
}
