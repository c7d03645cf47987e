//! The extractors of handlers. Each refuses with the API's own error body.

mod body;
mod object;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ApiState;
use super::error::{ApiError, ApiResult};
use super::offload::{Offload, Stop};
use body::read;

pub(super) use object::Object;

/// A JSON body of a request or an answer.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<ApiState> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(unreadable(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Send the body with `Content-Type: application/json`.".to_owned(),
            ));
        }
        parsed(&state.offload, read(request).await?).await.map(Self)
    }
}

/// Parses a JSON text. A large one is parsed on another thread than those that serve requests, because 16 MiB take a
/// tenth of a second.
async fn parsed<T: DeserializeOwned + Send + 'static>(offload: &Offload, json: Vec<u8>) -> ApiResult<T> {
    let bytes = json.len();
    let read = move |_: &Stop| match axum::Json::from_bytes(&json) {
        Ok(axum::Json(value)) => Ok(value),
        Err(rejection) => Err(unreadable_json(&rejection)),
    };
    offload.run(bytes, read).await
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// A JSON body that may be left out.
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<T: DeserializeOwned + Default + Send + 'static> FromRequest<ApiState> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let bytes = read(request).await?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(T::default()));
        }
        parsed(&state.offload, bytes).await.map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// The parameters of a path. If one is malformed, it names no row, so the answer is 404.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(ApiError::no_route()),
        }
    }
}

/// The query of a URL.
pub(crate) struct UrlQuery<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for UrlQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::unreadable("invalid_query", rejection.body_text())),
        }
    }
}

fn unreadable_json(rejection: &JsonRejection) -> ApiError {
    unreadable(rejection.status(), rejection.body_text())
}

fn unreadable(status: StatusCode, detail: String) -> ApiError {
    let code = match status {
        StatusCode::PAYLOAD_TOO_LARGE => return ApiError::body_too_large(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        _ => "parse_error",
    };
    // For JSON of the wrong shape, axum answers 422. Label Studio answers 400, and so do we.
    let status = if status == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { status };
    ApiError::Unreadable { status, code, detail }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn large_json_is_parsed_on_another_thread() {
        let read = |bytes: usize| {
            let json = format!("\"{}\"", "x".repeat(bytes)).into_bytes();
            async move { parsed::<String>(&Offload::busy(), json).await }.now_or_never()
        };
        assert!(read(10).is_some_and(|text| text.is_ok()), "a small text is not kept waiting");
        assert!(read(1024 * 1024).is_none(), "no thread is free for it");
    }
}
