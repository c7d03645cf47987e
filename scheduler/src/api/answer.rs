//! Answers whose size users choose: bounded, and counted until their last byte is sent.

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

/// Bytes of JSON columns in one answer. A browser shows no more, and a worse line than 5 Mbit/s takes half a minute for
/// it. Lower would cut pages of 100 ordinary tasks of 100 kB; higher, fewer answers fit into the memory for them.
pub(super) const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of one task's data, or of one result, that is shown at all: alone if it is more than [`MOST_BYTES`]. An import
/// takes items of 32 MiB; the rest is slack for what Postgres adds between them.
pub(super) const LARGEST_TEXT: i64 = 40 * 1024 * 1024;

/// Bytes of rows that a list reads before it reserves memory. Nearly all lists are shorter. No request
/// waits while it holds them, so the 20 database connections read 20 MiB of them at once.
const SMALL_LIST: i64 = 1024 * 1024;

/// Memory that a long answer takes per byte of its rows: as Postgres sent them, as values, and as the answer.
pub(super) const BYTES_PER_ROW_BYTE: usize = 4;

/// Memory for a list of [`MOST_BYTES`].
const LONG_LIST: usize = BYTES_PER_ROW_BYTE * MOST_BYTES;

/// Memory for texts of this many bytes: rows as Postgres sent them, in a buffer that may be twice their size, and the answer.
pub(super) fn texts_memory(bytes: usize) -> usize {
    // A single row comes in a buffer that grows by copying: 185 MB were measured for one of 38 MB.
    if bytes > MOST_BYTES { 4 * bytes } else { 3 * bytes }
}

/// An answer that was built, with the memory that is reserved for it.
pub(super) struct Answer {
    json: Vec<u8>,
    reserved: Reserved,
    next: Option<String>,
}

impl Answer {
    /// Answers with a list: `read` reads its rows up to this many bytes, and `show` makes the value to write from them, and the
    /// URL of what did not fit.
    ///
    /// # Errors
    /// Those of `read`, and no memory.
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
            // A short list is written at once: a wait for a thread would hold its rows.
            let bytes = reserved.bytes();
            let write = move |_: &Stop| Ok((written(&value, 0)?, reserved));
            let (json, mut reserved) = state.offload.run(bytes, write).await?;
            reserved.grow_to(json.len())?;
            Ok(Self::new(json, reserved)?.with_next(next))
        };
        state.memory.work(&caller.name, work).await
    }

    /// Writes a value as JSON. `expected` is about how many bytes it will take.
    ///
    /// # Errors
    /// The value cannot be written, or takes more memory than was reserved and there is.
    pub(super) fn write(value: &impl Serialize, expected: usize, reserved: Reserved) -> ApiResult<Self> {
        Self::new(written(value, expected)?, reserved)
    }

    /// An answer of this JSON. Memory that it does not take is given back, and what it takes besides is reserved.
    ///
    /// # Errors
    /// It takes more memory than was reserved and there is.
    pub(super) fn new(mut json: Vec<u8>, mut reserved: Reserved) -> ApiResult<Self> {
        json.shrink_to_fit();
        reserved.grow_to(json.len())?;
        reserved.shrink(json.len());
        Ok(Self { json, reserved, next: None })
    }

    /// Names the URL of what did not fit, as header `Link`.
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

/// Bytes of an answer, and the memory that they take.
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
        // The memory is given back with the bytes: a body that is handed over whole may wait in a buffer for long.
        let bytes = Bytes::from_owner(CountedBytes { json: self.json, _reserved: self.reserved });
        (headers, Body::from(bytes)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_its_memory_until_its_last_byte_is_gone() {
        let memory = Memory::new(4 * 1024 * 1024);
        let reserved = memory.reserve("a", 2 * 1024 * 1024).await.unwrap();
        let answer = Answer::write(&"x".repeat(1024 * 1024), 0, reserved).unwrap();
        let body = axum::body::to_bytes(answer.into_response().into_body(), usize::MAX).await.unwrap();
        assert!(memory.reserve("a", 1024 * 1024).await.is_err(), "the body still holds it");
        drop(body);
        assert!(memory.reserve("a", 2 * 1024 * 1024).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_longer_than_expected_is_counted_whole_or_refused() {
        let memory = Memory::new(4 * 1024 * 1024);
        let text = "x".repeat(1024 * 1024);
        let first = Answer::write(&text, 0, memory.nothing("a")).unwrap();
        assert!(first.reserved.bytes() > text.len());
        let refused = Answer::write(&text, 0, memory.nothing("a")).err().map(|error| error.code());
        assert_eq!(refused, Some("too_many_bytes"));
        assert!(Answer::write(&"small", 0, memory.nothing("a")).is_ok());
    }
}
