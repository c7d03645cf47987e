//! Streams an object through the scheduler, whole or in part, without a time limit. Only one chunk is in memory at a
//! time.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use headers::HeaderMapExt;
use longshore_model::FailureReason;
use longshore_storage::{ObjectMeta, ObjectStream, Range, Storage, StorageError};
use longshore_telemetry::{Embeddable, error_chain};

use super::conditions::{Conditions, etag, last_modified};
use super::content;
use super::range::{self, RequestedRange};
use crate::api::error::{ApiError, ApiResult};

/// The same value as Label Studio's: browsers cache an object for an hour, and then ask whether it has changed.
const CACHING: HeaderValue = HeaderValue::from_static("private, max-age=3600, must-revalidate");

/// The byte range and the conditions of a request for an object.
#[derive(Debug, Clone)]
pub(super) struct ObjectRequest {
    is_head: bool,
    range: Option<RequestedRange>,
    conditions: Conditions,
}

impl ObjectRequest {
    fn of(method: &Method, headers: &HeaderMap) -> Self {
        let is_head = method == Method::HEAD;
        // HTTP defines ranges for GET only.
        let range = headers.get(header::RANGE).filter(|_| !is_head).and_then(|value| value.to_str().ok());
        Self { is_head, range: range.and_then(range::read), conditions: Conditions::of(headers) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ObjectRequest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.method, &parts.headers))
    }
}

/// Answers with an object.
///
/// If the caller hangs up, reading from the storage stops. If the storage fails, the answer ends early: its length was
/// announced, so clients notice that a part is missing.
pub(super) async fn serve(
    storage: &Arc<dyn Storage>,
    storage_id: i64,
    key: &str,
    request: &ObjectRequest,
) -> ApiResult<Response> {
    // Send a HEAD request first if it may show that the object is not needed, or if the range counts from the end.
    let needs_head = request.conditions.any() || matches!(request.range, Some(RequestedRange::Last(_)));
    let current = if needs_head { Some(storage.head(key).await.map_err(ApiError::Storage)?) } else { None };
    let mut requested = request.range;
    if let Some(current) = &current {
        if request.conditions.are_up_to_date(current) {
            return Ok((StatusCode::NOT_MODIFIED, Extension(Embeddable), validators(current)).into_response());
        }
        requested = requested.filter(|_| request.conditions.allow_part(current));
    }
    if request.is_head {
        return head(storage, key).await;
    }
    let range = match (requested, &current) {
        (Some(RequestedRange::Last(0)), Some(current)) => return Ok(no_such_range(current.size)),
        (Some(RequestedRange::Last(count)), Some(current)) => {
            Some(Range { first: current.size.saturating_sub(count), last: None })
        }
        (Some(RequestedRange::From(range)), _) => Some(range),
        (Some(RequestedRange::Last(_)) | None, _) => None,
    };
    let mut stream = match storage.stream(key, range).await {
        Err(error) if error.reason == FailureReason::NoSuchRange => {
            return Ok(no_such_range(storage.head(key).await.map_err(ApiError::Storage)?.size));
        }
        stream => stream.map_err(ApiError::Storage)?,
    };
    // If the object changed after the HEAD request, send all of it: a part would belong to another version.
    if current.is_some_and(|current| current.etag != stream.etag) && stream.part.is_some() {
        stream = storage.stream(key, None).await.map_err(ApiError::Storage)?;
    }
    Ok(streamed(stream, storage_id, key))
}

/// Answers HEAD. It reads one byte, because only a read returns the content type.
async fn head(storage: &Arc<dyn Storage>, key: &str) -> ApiResult<Response> {
    let (meta, content_type) = match storage.stream(key, Some(Range { first: 0, last: Some(0) })).await {
        Ok(stream) => (meta_of(&stream, key), stream.content_type),
        // The object is empty.
        Err(error) if error.reason == FailureReason::NoSuchRange => {
            (storage.head(key).await.map_err(ApiError::Storage)?, None)
        }
        Err(error) => return Err(ApiError::Storage(error)),
    };
    let mut headers = described(&meta, content_type.as_deref());
    headers.insert(header::CONTENT_LENGTH, meta.size.into());
    Ok((StatusCode::OK, Extension(Embeddable), headers).into_response())
}

fn streamed(stream: ObjectStream, storage_id: i64, key: &str) -> Response {
    let meta = meta_of(&stream, key);
    let mut headers = described(&meta, stream.content_type.as_deref());
    // The bytes are sent as they are stored, so the client needs their encoding.
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
    (status, Extension(Embeddable), headers, Body::from_stream(body)).into_response()
}

fn meta_of(stream: &ObjectStream, key: &str) -> ObjectMeta {
    let (size, etag, modified_at) = (stream.size, stream.etag.clone(), stream.modified_at);
    ObjectMeta { key: key.to_owned(), size, etag, modified_at, ..ObjectMeta::default() }
}

/// The headers that describe the object.
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

/// The headers with which a browser can later ask whether the object has changed.
fn validators(meta: &ObjectMeta) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([(header::CACHE_CONTROL, CACHING)]);
    if let Some(etag) = etag(meta) {
        headers.typed_insert(etag);
    }
    if let Some(modified) = last_modified(meta) {
        headers.typed_insert(modified);
    }
    headers
}

fn no_such_range(size: u64) -> Response {
    let reason = FailureReason::NoSuchRange;
    let status = StatusCode::RANGE_NOT_SATISFIABLE;
    let error = ApiError::Route { status, code: reason.as_str(), detail: reason.advice().to_owned() };
    ([(header::CONTENT_RANGE, format!("bytes */{size}"))], error).into_response()
}
