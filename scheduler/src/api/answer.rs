//! Answers whose size users choose: bounded, and counted until their last byte is sent.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use longshore_db::Bounded;
use serde::Serialize;

use super::ApiState;
use super::auth::Caller;
use super::error::{ApiError, ApiResult};
use super::memory::Reserved;

/// Bytes of JSON columns in one answer. A browser shows no more, and a worse line than 5 Mbit/s takes half a minute for
/// it. Lower would cut pages of 100 ordinary tasks of 100 kB; higher, fewer answers fit into the memory for them.
pub(super) const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of one task's data, or of one result, that is shown at all: alone if it is more than [`MOST_BYTES`]. An import
/// takes items of 32 MiB; the rest is slack for what Postgres adds between them.
pub(super) const LARGEST_TEXT: i64 = 40 * 1024 * 1024;

/// Bytes of rows that a list reads before it reserves memory. Nearly all lists are shorter, and 20 database connections
/// read 20 MiB of them at once.
const SMALL_LIST: i64 = 1024 * 1024;

/// Memory that a long list takes per byte of its rows: as Postgres sent them, as values, and as the answer.
const BYTES_PER_ROW_BYTE: usize = 4;

/// Rows of a list, read by `read` up to so many bytes, and the memory for them.
///
/// # Errors
/// Those of `read`, and no memory.
pub(super) async fn rows<T: Send, F: Future<Output = ApiResult<Bounded<T>>> + Send>(
    state: &ApiState,
    caller: &Caller,
    read: impl (Fn(i64) -> F) + Send + Sync,
) -> ApiResult<(Bounded<T>, Reserved)> {
    let rows = read(SMALL_LIST).await?;
    if !rows.is_cut {
        return Ok((rows, Reserved::default()));
    }
    drop(rows);
    let reserved = state.memory.reserve(&caller.name, BYTES_PER_ROW_BYTE * MOST_BYTES).await?;
    Ok((read(MOST_BYTES as i64).await?, reserved))
}

/// An answer that was built, with the memory that is reserved for it.
pub(super) struct Answer {
    json: Vec<u8>,
    reserved: Reserved,
    next: Option<String>,
}

impl Answer {
    /// Writes a value as JSON. `expected` is about how many bytes it will take.
    ///
    /// # Errors
    /// The value cannot be written.
    pub(super) fn write(value: &impl Serialize, expected: usize, reserved: Reserved) -> ApiResult<Self> {
        let mut json = Vec::with_capacity(expected);
        serde_json::to_writer(&mut json, value).map_err(ApiError::internal)?;
        Ok(Self::new(json, reserved))
    }

    /// An answer of this JSON. Memory that it does not take is given back.
    pub(super) fn new(mut json: Vec<u8>, mut reserved: Reserved) -> Self {
        json.shrink_to_fit();
        reserved.shrink(json.len());
        Self { json, reserved, next: None }
    }

    /// Writes a list as JSON. One that is longer than expected waits for memory before it is sent.
    ///
    /// # Errors
    /// The value cannot be written, or there is no memory for it.
    pub(super) async fn of_rows(
        state: &ApiState,
        caller: &Caller,
        value: &(impl Serialize + Sync),
        reserved: Reserved,
    ) -> ApiResult<Self> {
        let mut answer = Self::write(value, 0, reserved)?;
        if answer.reserved.is_nothing() {
            answer.reserved = state.memory.reserve(&caller.name, answer.json.len()).await?;
        }
        Ok(answer)
    }

    /// Names the URL of what did not fit, as header `Link`.
    #[must_use]
    pub(super) fn with_next(mut self, url: Option<String>) -> Self {
        self.next = url;
        self
    }
}

/// Bytes of an answer, and the memory that they take.
struct Held {
    json: Vec<u8>,
    _reserved: Reserved,
}

impl AsRef<[u8]> for Held {
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
        let bytes = Bytes::from_owner(Held { json: self.json, _reserved: self.reserved });
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
}
