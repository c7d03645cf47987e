//! Answers whose size depends on users' data. Their size is limited, and their memory is reserved until the last byte
//! is sent.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use longshore_db::Bounded;
use serde::Serialize;

use super::ApiState;
use super::access::Caller;
use super::error::{ApiError, ApiResult};
use super::memory::Reserved;
use super::offload::Stop;

/// The most bytes of JSON columns in one answer. At 5 Mbit/s it takes half a minute. A lower limit would cut pages of
/// 100 ordinary tasks of 100 kB; with a higher one, fewer answers would fit into the memory at the same time.
pub(super) const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The most bytes of one task's data, or of one result, that can be shown. If it has more than [`MOST_BYTES`], it is
/// alone in its answer. Imports accept items of 32 MiB; the rest is for the spaces that Postgres adds.
pub(super) const LARGEST_TEXT: i64 = 40 * 1024 * 1024;

/// Bytes of rows that a list may read before it reserves memory. Nearly all lists are shorter. No request waits while
/// it holds such rows, so the 20 database connections hold at most 20 MiB of them.
const SMALL_LIST: i64 = 1024 * 1024;

/// Memory of a long answer per byte of its rows: as Postgres sent them, as values, and in the answer.
pub(super) const BYTES_PER_ROW_BYTE: usize = 4;

/// Memory of a list of [`MOST_BYTES`], in bytes.
const LONG_LIST: usize = BYTES_PER_ROW_BYTE * MOST_BYTES;

/// Memory of an answer with this many bytes of texts: a buffer of rows from Postgres, which may be twice their size,
/// and the answer.
pub(super) fn texts_memory(bytes: usize) -> usize {
    // The buffer of a single large row grows by copying. Measured: 185 MB for a row of 38 MB.
    if bytes > MOST_BYTES { 4 * bytes } else { 3 * bytes }
}

/// The JSON of an answer, with the memory that is reserved for it.
pub(super) struct Answer {
    json: Vec<u8>,
    reserved: Reserved,
    next: Option<String>,
}

impl Answer {
    /// Answers with a list. `read` reads rows up to a number of bytes. `show` turns them into the value to write, and
    /// the URL of the rows that did not fit.
    ///
    /// # Errors
    /// Those of `read`, and no free memory.
    pub(super) async fn list<T: Send, V: Serialize + Send + 'static, F>(
        state: &ApiState,
        caller: &Caller,
        read: impl (Fn(i64) -> F) + Send + Sync,
        show: impl (Fn(Bounded<T>) -> (V, Option<String>)) + Send + Sync,
    ) -> ApiResult<Self>
    where
        F: Future<Output = ApiResult<Bounded<T>>> + Send,
    {
        let (read, show) = (&read, &show);
        let work = |mut reserved: Reserved| async move {
            let is_long = reserved.holds(LONG_LIST);
            let mut rows = read(if is_long { MOST_BYTES as i64 } else { SMALL_LIST }).await?;
            if rows.is_cut && !is_long {
                drop(rows);
                reserved.grow_to(LONG_LIST)?;
                rows = read(MOST_BYTES as i64).await?;
            }
            let (value, next) = show(rows);
            // Write a short list on this thread: it would hold its rows while it waits for another one.
            let bytes = reserved.bytes();
            let write = move |_: &Stop| Ok((written(&value, 0)?, reserved));
            let (json, mut reserved) = state.offload.run(bytes, write).await?;
            reserved.grow_to(json.len())?;
            Ok(Self::new(json, reserved)?.with_next(next))
        };
        state.memory.work(&caller.name, work).await
    }

    /// Writes a value as JSON. `expected` is its approximate size in bytes.
    ///
    /// # Errors
    /// The value cannot be written, or needs more memory than is reserved and free.
    pub(super) fn write(value: &impl Serialize, expected: usize, reserved: Reserved) -> ApiResult<Self> {
        Self::new(written(value, expected)?, reserved)
    }

    /// Makes an answer of this JSON. Gives back memory that it does not need, or reserves what it needs in addition.
    ///
    /// # Errors
    /// It needs more memory than is reserved and free.
    pub(super) fn new(mut json: Vec<u8>, mut reserved: Reserved) -> ApiResult<Self> {
        json.shrink_to_fit();
        reserved.grow_to(json.len())?;
        reserved.shrink(json.len());
        Ok(Self { json, reserved, next: None })
    }

    /// Adds header `Link` with the URL of the rows that did not fit.
    #[must_use]
    pub(super) fn with_next(mut self, url: Option<String>) -> Self {
        self.next = url;
        self
    }
}

fn written(value: &impl Serialize, expected: usize) -> ApiResult<Vec<u8>> {
    let mut json = Vec::with_capacity(expected);
    serde_json::to_writer(&mut json, value).map_err(ApiError::internal)?;
    Ok(json)
}

/// The bytes of an answer, with their reservation.
struct CountedBytes {
    json: Vec<u8>,
    _reserved: Reserved,
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.json
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let link = self.next.and_then(|url| HeaderValue::try_from(format!("<{url}>; rel=\"next\"")).ok());
        headers.extend(link.map(|link| (header::LINK, link)));
        // The bytes own the reservation, because the whole body may wait in a send buffer for a long time.
        let bytes = Bytes::from_owner(CountedBytes { json: self.json, _reserved: self.reserved });
        (headers, Body::from(bytes)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_its_memory_until_its_last_byte_is_sent() {
        let memory = Memory::new(4 * 1024 * 1024);
        let reserved = memory.reserve("a", 2 * 1024 * 1024).await.unwrap();
        let answer = Answer::write(&"x".repeat(1024 * 1024), 0, reserved).unwrap();
        let body = axum::body::to_bytes(answer.into_response().into_body(), usize::MAX).await.unwrap();
        assert!(memory.reserve("a", 1024 * 1024).await.is_err(), "the body still holds it");
        drop(body);
        assert!(memory.reserve("a", 2 * 1024 * 1024).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_longer_than_expected_reserves_more_memory_or_is_refused() {
        let memory = Memory::new(4 * 1024 * 1024);
        let text = "x".repeat(1024 * 1024);
        let first = Answer::write(&text, 0, memory.nothing("a")).unwrap();
        assert!(first.reserved.bytes() > text.len());
        let refused = Answer::write(&text, 0, memory.nothing("a")).err().map(|error| error.code());
        assert_eq!(refused, Some("too_many_bytes"));
        assert!(Answer::write(&"small", 0, memory.nothing("a")).is_ok());
    }
}
