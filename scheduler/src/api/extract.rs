//! The extractors of handlers. Each refuses with the API's own error body.

mod body;
mod field_form;
mod file;
mod known_fields;
mod media;
mod multipart;
mod object;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use longshore_db::host::HostKind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

use super::ApiState;
use super::error::{ApiError, ApiResult};
use super::known_names::{ignores_field, shown, unknown};
use super::offload::{Offload, Stop};
use body::read;
use field_form::FieldForm;
use known_fields::{Checked, known_fields};
use media::Media;

pub(super) use file::TaskFile;
pub(super) use object::Object;

/// A JSON body of a request or an answer.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + ToSchema + Send + 'static> FromRequest<ApiState> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let (path, headers) = (path(&request), request.headers().clone());
        let bytes = read(request).await?;
        let json = match Media::of(&headers, &bytes)? {
            Media::Json => bytes,
            form => form_as_json::<T>(form, bytes).await?,
        };
        let Checked { value, unknown } = parsed::<Checked<T>>(&state.offload, json).await?;
        check_names::<T>(&unknown, &path)?;
        Ok(Self(value.map_err(incomplete)?))
    }
}

/// The template of the request's path.
fn path(request: &Request) -> String {
    request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default()
}

/// A form as the JSON text of an object with the fields of a type: a list or an object in it is sent as JSON text.
async fn form_as_json<T: ToSchema>(form: Media, bytes: Vec<u8>) -> ApiResult<Vec<u8>> {
    let fields = match form {
        Media::Json => return Ok(bytes),
        Media::Form => object::form(bytes).await?,
        Media::Multipart { boundary } => multipart::fields(&bytes, &boundary)?,
    };
    let known = known_fields::<T>();
    let pairs = fields.iter().filter_map(|(name, value)| {
        let form = known.get(name).copied().unwrap_or(FieldForm::Other);
        let value = form.of_form(value.as_str().unwrap_or_default())?;
        Some(format!("{}:{value}", Value::from(name.as_str())))
    });
    Ok(format!("{{{}}}", pairs.collect::<Vec<_>>().join(",")).into_bytes())
}

/// Refuses the first field that neither the type nor Label Studio knows.
fn check_names<T: ToSchema>(names: &[String], path: &str) -> ApiResult<()> {
    match names.iter().find(|name| !ignores_field(path, name)) {
        None => Ok(()),
        Some(name) => {
            let known = known_fields::<T>();
            let message = unknown("field", name, known.keys().map(String::as_str));
            Err(ApiError::invalid_of(shown(name), message))
        }
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

impl<T: DeserializeOwned + Default + ToSchema + Send + 'static> FromRequest<ApiState> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let (path, headers) = (path(&request), request.headers().clone());
        let bytes = read(request).await?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(T::default()));
        }
        let json = match Media::of(&headers, &bytes) {
            Ok(form @ (Media::Form | Media::Multipart { .. })) => form_as_json::<T>(form, bytes).await?,
            // The body of most callers is `{}`, whatever its type.
            Ok(Media::Json) | Err(_) => bytes,
        };
        let Checked { value, unknown } = parsed::<Checked<T>>(&state.offload, json).await?;
        // Label Studio's own pages call what it has as they call Label Studio.
        if state.host == HostKind::Native {
            check_names::<T>(&unknown, &path)?;
        }
        Ok(Self(value.map_err(incomplete)?))
    }
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

/// The refusal of an object that its type does not accept as a whole.
fn incomplete(error: String) -> ApiError {
    match error.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
        Some((field, _)) => ApiError::invalid_of(field.to_owned(), "This field is required.".to_owned()),
        None => unreadable(StatusCode::BAD_REQUEST, error),
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
