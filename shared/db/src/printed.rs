//! JSON columns by the bytes that they print as: sizes first, then only the texts that fit.
//!
//! `jsonb` is stored much smaller than it is printed: 80 kB of `1e131071` print as 1 GB, 120 kB of blanks as
//! 10 MB. So readers ask for sizes, decide, and ask for texts by ID. Neither step prints what is not shown.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::pin::pin;

use crate::GenericClient;
use deadpool_postgres::GenericClient as _;
use futures::TryStreamExt;
use tokio_postgres::Row;

use crate::{Error, Result};

/// Stored bytes of which the sizes are asked in one statement. TOAST compresses at most about 250 times, so
/// one statement unpacks at most 256 MiB. Lower costs round trips, higher lets one request hold a database core.
const STORED_AT_ONCE: i64 = 1024 * 1024;

/// Rows of one table that may turn out unreadable in one answer. Each may cost Postgres a second of printing,
/// so beyond this the rest counts as unread.
const UNREADABLE_AT_ONCE: usize = 4;

/// The size of a row that cannot be printed at all.
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

/// A row by its ID and a size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizedRow {
    /// Identity of the row.
    pub id: i64,
    /// Stored bytes, or bytes as printed: see the function that gives it.
    pub bytes: i64,
}

/// The printed JSON columns of one row. They are borrowed from what the database sent, not copied.
#[derive(Debug, Clone)]
pub struct JsonText(Row);

impl JsonText {
    /// The ID of the row.
    pub fn id(&self) -> i64 {
        self.0.get(0)
    }

    /// `data` of a task, `result` of an annotation or prediction.
    pub fn first(&self) -> &str {
        self.0.get::<_, Option<&str>>(1).unwrap_or("null")
    }

    /// `meta` of a task.
    pub fn second(&self) -> &str {
        if self.0.len() > 2 { self.0.get::<_, Option<&str>>(2).unwrap_or("null") } else { "null" }
    }

    /// Bytes of all columns.
    pub fn bytes(&self) -> usize {
        self.0.raw_size_bytes()
    }
}

/// The texts of rows, as far as they fit.
#[derive(Debug, Clone, Default)]
pub struct Printed {
    /// The texts, in the order of the IDs that were asked for.
    pub texts: Vec<JsonText>,
    /// Rows that Postgres could not print.
    pub unprintable: Vec<i64>,
}

/// SQL for the bytes as which a `jsonb` column prints, without printing it.
///
/// The column unpacked is as long as its text, but for its numbers: those are counted digit by digit. Control
/// characters print as six bytes and are counted as one, so readers also count what they get. It reads each
/// element once; 1,000 rows of 200 elements took 230 ms, printing them 95 ms (PostgreSQL 15).
pub(crate) fn printed(column: &str) -> String {
    // `#> '{}'` unpacks the column; `OFFSET 0` keeps the planner from doing that again for each use. The numbers
    // come as an array, since `jsonb_path_query` takes the square of their count.
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

/// The bytes that rows print as, in the order of `rows`, until they are more than `most` together.
///
/// `rows` come with their stored bytes. The last row given may be the one that is too much; rows after it were
/// not looked at. A row whose size cannot be told is [`UNPRINTABLE`]; one that is missing is left out.
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
            stored <= STORED_AT_ONCE
        });
        let (now, later) = rest.split_at(1 + more.count());
        rest = later;
        let ids: Vec<i64> = now.iter().map(|row| row.id).collect();
        let asked = match sizes_of(client, table, &ids).await {
            Err(error) if error.is_unreadable_row() => one_by_one(client, table, &ids).await?,
            asked => asked?,
        };
        sum = asked.iter().fold(sum, |sum, row| sum.saturating_add(row.bytes));
        sizes.extend(asked);
    }
    Ok(sizes)
}

async fn sizes_of(client: &impl GenericClient, table: JsonTable, ids: &[i64]) -> Result<Vec<SizedRow>> {
    let bytes: Vec<String> = table.columns().iter().map(|column| printed(&format!("t.{column}"))).collect();
    // One look-up by key for each ID, whatever the statistics say.
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

/// A row that cannot be sized costs itself, not its neighbors.
async fn one_by_one(client: &impl GenericClient, table: JsonTable, ids: &[i64]) -> Result<Vec<SizedRow>> {
    let mut sizes = Vec::with_capacity(ids.len());
    for id in ids {
        match sizes_of(client, table, &[*id]).await {
            Err(error) if error.is_unreadable_row() => sizes.push(SizedRow { id: *id, bytes: UNPRINTABLE }),
            asked => sizes.extend(asked?),
        }
    }
    Ok(sizes)
}

/// The texts of these rows, in this order, until they are more than `most` bytes together.
///
/// The first row comes however large it is. A row that is missing is left out, and so are those after `most`.
pub async fn texts(client: &impl GenericClient, table: JsonTable, ids: &[i64], most: usize) -> Result<Printed> {
    let columns: Vec<String> = table.columns().iter().map(|column| format!("t.{column}::text")).collect();
    let text = format!(
        "SELECT wanted.id, found.* FROM unnest($1::bigint[]) wanted (id)
           LEFT JOIN LATERAL (SELECT {} FROM {} t WHERE t.id = wanted.id LIMIT 1) found ON true",
        columns.join(", "),
        table.name()
    );
    let statement = client.prepare_cached(&text).await?;
    let (mut printed, mut sum, mut rest) = (Printed::default(), 0, ids);
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
                // Rows come in the order of the IDs, so it is the one after those seen.
                Err(error) if error.is_unreadable_row() => break rest.get(seen),
                Err(error) => return Err(error),
            }
        };
        printed.unprintable.extend(unprintable);
        if printed.unprintable.len() > UNREADABLE_AT_ONCE {
            break;
        }
        rest = rest.get(seen + 1..).unwrap_or_default();
    }
    Ok(printed)
}
