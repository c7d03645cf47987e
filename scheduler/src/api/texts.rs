//! Which JSON columns fit into an answer, and their texts.

use std::collections::HashMap;

use longshore_db::Client;
use longshore_db::printed::{self, JsonTable, JsonText, SizedRow};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::answer::{LARGEST_TEXT, MOST_BYTES};
use super::error::{ApiError, ApiResult};

/// Why JSON of a row is not in an answer: empty JSON stands in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Omission {
    /// The answer holds 16 MiB already. Ask for the task or the annotation by its ID, or for the next ones.
    AnswerFull,
    /// It is more than any answer may hold, or Postgres cannot print it.
    TooLarge,
}

/// JSON text, or why there is none.
pub(super) type ShownText<'a> = Result<&'a str, Omission>;

/// JSON text as it is, or `empty` and why.
pub(super) fn raw<'a>(text: ShownText<'a>, empty: &'static str) -> ApiResult<(&'a RawValue, Option<Omission>)> {
    let (text, left_out) = text.map_or_else(|left_out| (empty, Some(left_out)), |text| (text, None));
    Ok((serde_json::from_str(text).map_err(ApiError::internal)?, left_out))
}

/// Rows of one table whose JSON goes into an answer, by the bytes as which it prints.
#[derive(Debug, Default)]
pub(super) struct Sizes(HashMap<i64, i64>);

impl Sizes {
    /// Asks for the sizes of rows, given by ID and stored bytes and in their order, until they fill an answer.
    pub(super) async fn of(client: &Client, table: JsonTable, rows: Vec<(i64, i64)>) -> ApiResult<Self> {
        let rows: Vec<SizedRow> = rows.into_iter().map(|(id, bytes)| SizedRow { id, bytes }).collect();
        let sizes = printed::sizes(client, table, &rows, MOST_BYTES as i64).await?;
        Ok(Self(sizes.into_iter().map(|row| (row.id, row.bytes)).collect()))
    }

    pub(super) fn is_too_large(&self, id: i64) -> bool {
        self.0.get(&id).is_some_and(|bytes| *bytes > LARGEST_TEXT)
    }
}

/// Rows of one table that were chosen for an answer, in the order of the answer.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    sizes: Sizes,
    ids: Vec<i64>,
}

impl Chosen {
    pub(super) fn new(sizes: Sizes) -> Self {
        Self { sizes, ids: Vec::new() }
    }

    /// The texts of the chosen rows.
    pub(super) async fn texts(self, client: &Client, table: JsonTable) -> ApiResult<Texts> {
        let mut sizes = self.sizes;
        let printed = printed::texts(client, table, &self.ids, MOST_BYTES).await?;
        sizes.0.extend(printed.unprintable.into_iter().map(|id| (id, printed::UNPRINTABLE)));
        Ok(Texts { sizes, texts: printed.texts.into_iter().map(|text| (text.id(), text)).collect() })
    }
}

/// What an answer has room for.
#[derive(Debug)]
pub(super) struct AnswerBudget {
    taken: i64,
    /// Whether the next row is chosen however large it is.
    takes_any: bool,
    is_full: bool,
}

impl Default for AnswerBudget {
    /// For a separate answer: the first row always fits.
    fn default() -> Self {
        Self { taken: 0, takes_any: true, is_full: false }
    }
}

impl AnswerBudget {
    /// For rows that accompany others.
    pub(super) fn besides() -> Self {
        Self { takes_any: false, ..Self::default() }
    }

    /// For nothing more.
    pub(super) fn full() -> Self {
        Self { is_full: true, ..Self::default() }
    }

    /// Chooses a row if it fits. After one that did not, nothing fits any more.
    pub(super) fn choose(&mut self, chosen: &mut Chosen, id: i64) {
        if self.is_full || chosen.sizes.is_too_large(id) {
            return;
        }
        let fits = |bytes: &&i64| self.takes_any || self.taken + **bytes <= MOST_BYTES as i64;
        match chosen.sizes.0.get(&id).filter(fits) {
            Some(bytes) => {
                self.taken += bytes;
                // Rows of nothing are counted as none.
                self.takes_any = self.takes_any && self.taken == 0;
                chosen.ids.push(id);
            }
            None => self.is_full = true,
        }
    }

    /// Bytes of all chosen rows.
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
        let unread = || if self.sizes.is_too_large(id) { Omission::TooLarge } else { Omission::AnswerFull };
        self.texts.get(&id).ok_or_else(unread)
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
