//! Selects the JSON columns that fit into an answer, and reads their texts.

use std::collections::HashMap;

use longshore_db::Client;
use longshore_db::printed::{self, JsonTable, JsonText, SizedRow};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::answer::{LARGEST_TEXT, MOST_BYTES};
use super::error::{ApiError, ApiResult};

/// Why the JSON of a row is left out of an answer. Empty JSON replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Omission {
    /// The answer already holds 16 MiB. Request the task or annotation by its ID, or the next page.
    AnswerFull,
    /// It is larger than any answer may be, or Postgres cannot print it.
    TooLarge,
}

/// JSON text, or why it is left out.
pub(super) type ShownText<'a> = Result<&'a str, Omission>;

/// The JSON text; or `empty`, and why the text is left out.
pub(super) fn raw<'a>(text: ShownText<'a>, empty: &'static str) -> ApiResult<(&'a RawValue, Option<Omission>)> {
    let (text, left_out) = text.map_or_else(|left_out| (empty, Some(left_out)), |text| (text, None));
    Ok((serde_json::from_str(text).map_err(ApiError::internal)?, left_out))
}

/// The printed sizes of the JSON of one table's rows, in bytes by row ID.
#[derive(Debug, Default)]
pub(super) struct Sizes(HashMap<i64, i64>);

impl Sizes {
    /// Reads the sizes of rows, in the given order, until they fill an answer. Each row is an ID and its stored bytes.
    pub(super) async fn of(client: &Client, table: JsonTable, rows: Vec<(i64, i64)>) -> ApiResult<Self> {
        let rows: Vec<SizedRow> = rows.into_iter().map(|(id, bytes)| SizedRow { id, bytes }).collect();
        let sizes = printed::sizes(client, table, &rows, MOST_BYTES as i64).await?;
        Ok(Self(sizes.into_iter().map(|row| (row.id, row.bytes)).collect()))
    }

    pub(super) fn is_too_large(&self, id: i64) -> bool {
        self.0.get(&id).is_some_and(|bytes| *bytes > LARGEST_TEXT)
    }
}

/// The rows of one table that fit into an answer, in its order.
#[derive(Debug, Default)]
pub(super) struct ChosenRows {
    sizes: Sizes,
    ids: Vec<i64>,
}

impl ChosenRows {
    pub(super) fn new(sizes: Sizes) -> Self {
        Self { sizes, ids: Vec::new() }
    }

    /// Reads the texts of the chosen rows.
    pub(super) async fn texts(self, client: &Client, table: JsonTable) -> ApiResult<Texts> {
        let mut sizes = self.sizes;
        let printed = printed::texts(client, table, &self.ids, MOST_BYTES).await?;
        sizes.0.extend(printed.unprintable.into_iter().map(|id| (id, printed::UNPRINTABLE)));
        Ok(Texts { sizes, texts: printed.texts.into_iter().map(|text| (text.id(), text)).collect() })
    }
}

/// The bytes that still fit into an answer.
#[derive(Debug)]
pub(super) struct AnswerBudget {
    taken: i64,
    /// Whether the next row fits regardless of its size.
    takes_any: bool,
    is_full: bool,
}

impl Default for AnswerBudget {
    /// The budget of a separate answer. The first row always fits.
    fn default() -> Self {
        Self { taken: 0, takes_any: true, is_full: false }
    }
}

impl AnswerBudget {
    /// The budget of rows that are shown with others. The first row need not fit.
    pub(super) fn additional() -> Self {
        Self { takes_any: false, ..Self::default() }
    }

    /// A budget in which nothing fits.
    pub(super) fn full() -> Self {
        Self { is_full: true, ..Self::default() }
    }

    /// Chooses a row if it fits. After the first one that does not, no other row fits.
    pub(super) fn choose(&mut self, chosen: &mut ChosenRows, id: i64) {
        if self.is_full || chosen.sizes.is_too_large(id) {
            return;
        }
        let fits = |bytes: &&i64| self.takes_any || self.taken + **bytes <= MOST_BYTES as i64;
        match chosen.sizes.0.get(&id).filter(fits) {
            Some(bytes) => {
                self.taken += bytes;
                // A row of 0 bytes does not count as the first one.
                self.takes_any = self.takes_any && self.taken == 0;
                chosen.ids.push(id);
            }
            None => self.is_full = true,
        }
    }

    /// The size of all chosen rows in bytes.
    pub(super) fn taken(&self) -> usize {
        usize::try_from(self.taken).unwrap_or_default()
    }
}

/// The texts of one table's rows.
#[derive(Debug, Default)]
pub(super) struct Texts {
    sizes: Sizes,
    texts: HashMap<i64, JsonText>,
}

impl Texts {
    pub(super) fn get(&self, id: i64) -> Result<&JsonText, Omission> {
        let omission = || if self.sizes.is_too_large(id) { Omission::TooLarge } else { Omission::AnswerFull };
        self.texts.get(&id).ok_or_else(omission)
    }

    /// `result` of an annotation or prediction.
    pub(super) fn result(&self, id: i64) -> ShownText<'_> {
        self.get(id).map(JsonText::first)
    }

    /// `meta` of a task.
    pub(super) fn meta(&self, id: i64) -> ShownText<'_> {
        self.get(id).map(JsonText::second)
    }
}
