//! Annotations and predictions: rows whose `result`, a list of regions, is stored as JSON. Here is what both have in common:
//! their checks, and answers with as many results as fit.

use longshore_db::printed::JsonTable;
use longshore_db::{Client, Error};
use serde::Serialize;
use serde_json::value::RawValue;

use super::ApiState;
use super::answer::{Answer, texts_memory};
use super::error::{ApiError, ApiResult};
use super::json_field::{self, Shape};
use super::memory::{Reserved, Unfinished};
use super::offload::Stop;
use super::texts::{AnswerBudget, ChosenRows, Omission, ShownText, Sizes, Texts};

/// Memory of a row without its result, in bytes: its rows and its text in the answer. Measured: 250 in the answer, and about as
/// much in each of two rows.
pub(super) const ROW_BYTES: usize = 1024;

/// The most rows in one answer. Each takes about 250 bytes without its result.
pub(super) const MOST_LISTED: i64 = 1_000;

/// A row with a result.
pub(super) trait ResultRow: Sized + Send + Sync + 'static {
    /// The table of the row.
    const TABLE: JsonTable;

    /// The row in an answer.
    type Body<'a>: Serialize;

    fn id(&self) -> i64;

    /// Bytes of the result as stored, after compression.
    fn stored_bytes(&self) -> i64;

    /// The row with its result, or without it and with the reason.
    fn body<'a>(&self, result: ShownText<'a>) -> ApiResult<Self::Body<'a>>;
}

/// The memory of an answer with this many bytes of results, in bytes.
pub(super) fn memory_of(result_bytes: usize, rows: usize) -> usize {
    texts_memory(result_bytes) + ROW_BYTES * rows
}

/// The printed size in bytes of a result that is sent.
///
/// # Errors
/// It is not a list, or the database or its clients could not hold it.
pub(super) fn printed_bytes(result: Option<&RawValue>) -> ApiResult<Option<usize>> {
    result.map(|result| json_field::printed_bytes("result", result.get(), Shape::List)).transpose()
}

/// The answer for JSON that the database cannot store, such as a number with too many digits.
pub(super) fn write_error(error: Error) -> ApiError {
    if error.is_data_exception() {
        ApiError::invalid("result", "The database cannot hold this value.")
    } else {
        error.into()
    }
}

/// The printed size of a stored result in bytes. 0 if it is too large to be shown, or if there is no row: then the change itself
/// answers 404.
pub(super) async fn stored_bytes<R: ResultRow>(client: &Client, row: Option<R>) -> ApiResult<usize> {
    let Some(row) = row else { return Ok(0) };
    let mut budget = AnswerBudget::default();
    budget.choose(&mut ChosenRows::new(sizes(client, std::slice::from_ref(&row)).await?), row.id());
    Ok(budget.taken())
}

/// Answers with a row.
pub(super) async fn answer<R: ResultRow>(
    state: &ApiState,
    client: Client,
    row: R,
    mut reserved: Reserved,
) -> Result<Answer, Unfinished> {
    let (texts, bytes) = read(&client, std::slice::from_ref(&row), &mut reserved).await?;
    drop(client);
    let write = move |_: &Stop| Answer::write(&row.body(texts.result(row.id()))?, bytes + ROW_BYTES, reserved);
    Ok(state.offload.run(bytes, write).await?)
}

/// Answers with a list, of which one row more than [`MOST_LISTED`] was read. `next` gives the URL of the rows after an ID.
pub(super) async fn listed<R: ResultRow>(
    state: &ApiState,
    client: Client,
    mut rows: Vec<R>,
    next: impl FnOnce(i64) -> String,
    mut reserved: Reserved,
) -> Result<Answer, Unfinished> {
    let most = usize::try_from(MOST_LISTED).unwrap_or(usize::MAX);
    let mut is_cut = rows.len() > most;
    rows.truncate(most);
    let (texts, bytes) = read(&client, &rows, &mut reserved).await?;
    drop(client);
    // The next page starts with the first row that does not fit. One that is larger than any page is shown without its result.
    if let Some(fitting) = rows.iter().position(|row| texts.get(row.id()).err() == Some(Omission::AnswerFull)) {
        is_cut = true;
        rows.truncate(fitting.max(1));
    }
    let next = rows.last().filter(|_| is_cut).map(|row| next(row.id()));
    let all_bytes = bytes + ROW_BYTES * rows.len();
    let write = move |_: &Stop| {
        let bodies = rows.iter().map(|row| row.body(texts.result(row.id())));
        Answer::write(&bodies.collect::<ApiResult<Vec<_>>>()?, all_bytes, reserved)
    };
    Ok(state.offload.run(all_bytes, write).await?.with_next(next))
}

/// Reserves memory for the results that fit into an answer, and reads them. Returns the results and their size in bytes.
async fn read<R: ResultRow>(
    client: &Client,
    rows: &[R],
    reserved: &mut Reserved,
) -> Result<(Texts, usize), Unfinished> {
    let (mut chosen, mut budget) = (ChosenRows::new(sizes(client, rows).await?), AnswerBudget::default());
    for row in rows {
        budget.choose(&mut chosen, row.id());
    }
    reserved.grow_to(memory_of(budget.taken(), rows.len()))?;
    Ok((chosen.texts(client, R::TABLE).await?, budget.taken()))
}

/// The printed sizes of the results of rows.
async fn sizes<R: ResultRow>(client: &Client, rows: &[R]) -> ApiResult<Sizes> {
    Sizes::of(client, R::TABLE, rows.iter().map(|row| (row.id(), row.stored_bytes())).collect()).await
}
