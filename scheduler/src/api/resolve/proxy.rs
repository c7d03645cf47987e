//! Streams an object through: whole or in part, with no limit of time and no more held than a piece.

use longshore_telemetry::error_chain;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use longshore_model::FailureReason;
use longshore_storage::{ObjectMeta, ObjectStream, Range, Storage, StorageError};

use super::conditions::{Conditions, http_date};
use super::content;
use super::range::{self, Wanted};
use crate::api::error::{ApiError, ApiResult};

/// The host's: browsers keep an object for an hour and then ask whether it is still the same.
const CACHING: HeaderValue = HeaderValue::from_static("private, max-age=3600, must-revalidate");

/// What of an object a request wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    head: bool,
    wanted: Option<Wanted>,
    conditions: Conditions<'a>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(method: &Method, headers: &'a HeaderMap) -> Self {
        let head = method == Method::HEAD;
        // HTTP knows parts for GET alone.
        let range = headers.get(header::RANGE).filter(|_| !head).and_then(|value| value.to_str().ok());
        Self { head, wanted: range.and_then(range::read), conditions: Conditions::of(headers) }
    }
}

/// Answers with an object.
///
/// The caller hangs up, and the storage is not read on. The storage breaks off, and so does the answer:
/// its length was promised, so that nobody takes a part for the whole.
pub(super) async fn serve(
    storage: &Arc<dyn Storage>,
    storage_id: i64,
    key: &str,
    asked: &Asked<'_>,
) -> ApiResult<Response> {
    // A small question first, where the answer may be small.
    let looks_first = asked.conditions.any() || matches!(asked.wanted, Some(Wanted::Last(_)));
    let now = if looks_first { Some(storage.head(key).await.map_err(ApiError::Storage)?) } else { None };
    let mut wanted = asked.wanted;
    if let Some(now) = &now {
        if asked.conditions.are_up_to_date(now) {
            return Ok((StatusCode::NOT_MODIFIED, validators(now)).into_response());
        }
        wanted = wanted.filter(|_| asked.conditions.allow_part(now));
    }
    if asked.head {
        return head(storage, key).await;
    }
    let range = match (wanted, &now) {
        (Some(Wanted::Last(0)), Some(now)) => return Ok(no_such_range(now.size)),
        (Some(Wanted::Last(count)), Some(now)) => Some(Range { first: now.size.saturating_sub(count), last: None }),
        (Some(Wanted::From(range)), _) => Some(range),
        (Some(Wanted::Last(_)) | None, _) => None,
    };
    let mut stream = match storage.stream(key, range).await {
        Err(error) if error.reason == FailureReason::NoSuchRange => {
            return Ok(no_such_range(storage.head(key).await.map_err(ApiError::Storage)?.size));
        }
        stream => stream.map_err(ApiError::Storage)?,
    };
    // Changed since it was looked at: a part of something else fits nothing.
    if now.is_some_and(|now| now.etag != stream.etag) && stream.part.is_some() {
        stream = storage.stream(key, None).await.map_err(ApiError::Storage)?;
    }
    Ok(streamed(stream, storage_id, key))
}

/// The head of an answer with the whole object. One byte tells what a listing does not: its type.
async fn head(storage: &Arc<dyn Storage>, key: &str) -> ApiResult<Response> {
    let (meta, content_type) = match storage.stream(key, Some(Range { first: 0, last: Some(0) })).await {
        Ok(stream) => (meta_of(&stream, key), stream.content_type),
        // It has no byte.
        Err(error) if error.reason == FailureReason::NoSuchRange => {
            (storage.head(key).await.map_err(ApiError::Storage)?, None)
        }
        Err(error) => return Err(ApiError::Storage(error)),
    };
    let mut headers = described(&meta, content_type.as_deref());
    headers.insert(header::CONTENT_LENGTH, meta.size.into());
    Ok((StatusCode::OK, headers).into_response())
}

fn streamed(stream: ObjectStream, storage_id: i64, key: &str) -> Response {
    let meta = meta_of(&stream, key);
    let mut headers = described(&meta, stream.content_type.as_deref());
    // The bytes go out as they are stored: without this, what is packed would look like nonsense.
    let encoding = stream.content_encoding.as_deref().and_then(|encoding| HeaderValue::try_from(encoding).ok());
    headers.extend(encoding.map(|encoding| (header::CONTENT_ENCODING, encoding)));
    let (status, length) = match stream.part {
        Some((first, last)) => {
            let part = format!("bytes {first}-{last}/{}", stream.size);
            headers.extend(HeaderValue::try_from(part).ok().map(|part| (header::CONTENT_RANGE, part)));
            (StatusCode::PARTIAL_CONTENT, last.saturating_add(1).saturating_sub(first))
        }
        None => (StatusCode::OK, stream.size),
    };
    headers.insert(header::CONTENT_LENGTH, length.into());
    let body = stream.body.inspect_err(move |error: &StorageError| {
        tracing::warn!(
            event = "object_stream_failed",
            storage.id = storage_id,
            error = error_chain(error),
            "object stream ended early"
        );
    });
    (status, headers, Body::from_stream(body)).into_response()
}

fn meta_of(stream: &ObjectStream, key: &str) -> ObjectMeta {
    let (size, etag, modified_at) = (stream.size, stream.etag.clone(), stream.modified_at);
    ObjectMeta { key: key.to_owned(), size, etag, modified_at }
}

/// What the headers of every answer with an object say of it.
fn described(meta: &ObjectMeta, stored_type: Option<&str>) -> HeaderMap {
    let content_type = content::of(stored_type, &meta.key);
    let mut headers = validators(meta);
    if !content::is_passive(&content_type) {
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    }
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers
}

/// By what a browser recognizes the object when it asks again.
fn validators(meta: &ObjectMeta) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([(header::CACHE_CONTROL, CACHING)]);
    let etag = meta.etag.as_deref().filter(|etag| !etag.contains('"')).map(|etag| format!("\"{etag}\""));
    headers.extend(etag.and_then(|etag| HeaderValue::try_from(etag).ok()).map(|etag| (header::ETAG, etag)));
    let modified = meta.modified_at.and_then(|time| HeaderValue::try_from(http_date(time)).ok());
    headers.extend(modified.map(|modified| (header::LAST_MODIFIED, modified)));
    headers
}

fn no_such_range(size: u64) -> Response {
    let reason = FailureReason::NoSuchRange;
    let status = StatusCode::RANGE_NOT_SATISFIABLE;
    let error = ApiError::Route { status, code: reason.as_str(), detail: reason.advice().to_owned() };
    ([(header::CONTENT_RANGE, format!("bytes */{size}"))], error).into_response()
}
