//! What handlers take from a request, each refusing with the API's own error body.

use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::ApiError;

/// A JSON body, in or out.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(unreadable_json(rejection)),
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// A JSON body that may be left out.
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes =
            axum::body::Bytes::from_request(request, state).await.map_err(|rejection| unreadable_bytes(&rejection))?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(T::default()));
        }
        axum::Json::from_bytes(&bytes).map(|axum::Json(body)| Self(body)).map_err(unreadable_json)
    }
}

/// A body of fields, as JSON object or as a form.
pub(crate) struct Object(pub(crate) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Object {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if is_form {
            let axum::Form(pairs) = axum::Form::<Vec<(String, String)>>::from_request(request, state)
                .await
                .map_err(|rejection| unreadable(rejection.status(), rejection.body_text()))?;
            return Ok(Self(pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect()));
        }
        match Json::<Value>::from_request(request, state).await?.0 {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(ApiError::unreadable("parse_error", "The body must be one JSON object.")),
        }
    }
}

/// The placeholders of a path. What does not read as they should names no row, so it is a 404.
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

fn unreadable_json(rejection: JsonRejection) -> ApiError {
    match rejection {
        JsonRejection::BytesRejection(rejection) => unreadable_bytes(&rejection),
        rejection => unreadable(rejection.status(), rejection.body_text()),
    }
}

fn unreadable_bytes(rejection: &BytesRejection) -> ApiError {
    unreadable(rejection.status(), rejection.body_text())
}

fn unreadable(status: StatusCode, detail: String) -> ApiError {
    let code = match status {
        StatusCode::PAYLOAD_TOO_LARGE => return ApiError::body_too_large(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        _ => "parse_error",
    };
    // A JSON value of the wrong shape is 422 to axum and, as to Label Studio, 400 here.
    let status = if status == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { status };
    ApiError::Unreadable { status, code, detail }
}
