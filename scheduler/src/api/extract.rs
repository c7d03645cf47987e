//! What handlers take from a request, each refusing with the API's own error body.

use std::fmt::{self, Formatter};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::ApiState;
use super::error::{ApiError, ApiResult};
use super::limits::{MAX_BODY, max_body};
use super::offload::{Offload, Stop};

/// A JSON body, in or out.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<ApiState> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(unreadable(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Expected request with `Content-Type: application/json`".to_owned(),
            ));
        }
        parsed(&state.offload, body(request).await?).await.map(Self)
    }
}

/// What a JSON text says. A large one is read off the threads that serve everybody: 16 MiB take a tenth of a second.
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
        let bytes = body(request).await?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(T::default()));
        }
        parsed(&state.offload, bytes).await.map(Self)
    }
}

/// A body of fields, as JSON object or as a form.
pub(crate) struct Object(pub(crate) Map<String, Value>);

impl FromRequest<ApiState> for Object {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if !is_form {
            return Ok(Self(Json::<FlatObject>::from_request(request, state).await?.0.0));
        }
        let (head, sent) = request.into_parts();
        let bytes = body(Request::from_parts(head.clone(), sent)).await?;
        let form = axum::Form::<FlatObject>::from_request(Request::from_parts(head, Body::from(bytes)), state).await;
        form.map(|axum::Form(fields)| Self(fields.0))
            .map_err(|rejection| unreadable(rejection.status(), rejection.body_text()))
    }
}

/// Fields of one request. A storage has about 40.
const MOST_FIELDS: usize = 256;

/// An object of few fields. Values that are lists or objects come out empty: no field takes one, and a tree of 4 MiB
/// takes 100 MiB.
struct FlatObject(Map<String, Value>);

impl<'de> Deserialize<'de> for FlatObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = FlatObject;

            fn expecting(&self, out: &mut Formatter<'_>) -> fmt::Result {
                out.write_str("one object of fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FlatObject, A::Error> {
                let mut fields = Map::new();
                while let Some((name, FlatValue(value))) = map.next_entry::<String, FlatValue>()? {
                    fields.insert(name, value);
                    if fields.len() > MOST_FIELDS {
                        return Err(A::Error::custom(format!("more than {MOST_FIELDS} fields")));
                    }
                }
                Ok(FlatObject(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// A value that is not looked into.
struct FlatValue(Value);

impl<'de> Deserialize<'de> for FlatValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = FlatValue;

            fn expecting(&self, out: &mut Formatter<'_>) -> fmt::Result {
                out.write_str("a value")
            }

            fn visit_bool<E>(self, value: bool) -> Result<FlatValue, E> {
                Ok(FlatValue(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<FlatValue, E> {
                Ok(FlatValue(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<FlatValue, E> {
                Ok(FlatValue(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<FlatValue, E> {
                Ok(FlatValue(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<FlatValue, E> {
                Ok(FlatValue(value.into()))
            }

            fn visit_string<E>(self, value: String) -> Result<FlatValue, E> {
                Ok(FlatValue(value.into()))
            }

            fn visit_unit<E>(self) -> Result<FlatValue, E> {
                Ok(FlatValue(Value::Null))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<FlatValue, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(FlatValue(Value::Array(Vec::new())))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<FlatValue, A::Error> {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(FlatValue(Value::Object(Map::new())))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// How long a body may take to arrive. Memory is reserved for it meanwhile; 16 MiB take as long at 5 Mbit/s.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The body of a request, as long as its route allows, in one piece.
async fn body(request: Request) -> Result<Vec<u8>, ApiError> {
    let most = request.extensions().get::<MatchedPath>().map_or(MAX_BODY, |route| max_body(route.as_str()));
    let mut body = request.into_body();
    let announced = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let mut bytes = Vec::with_capacity(announced.unwrap_or_default().min(most));
    let reading = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| unreadable(StatusCode::BAD_REQUEST, error.to_string()))?;
            let Ok(piece) = frame.into_data() else { continue };
            if bytes.len() + piece.len() > most {
                drop(std::mem::take(&mut bytes));
                throw_away(&mut body, most).await;
                return Err(ApiError::body_too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    };
    timeout(BODY_TIME, reading).await.map_err(|_| ApiError::SlowBody)?
}

/// How long the rest of a body is read that turned out too large.
const LINGER_TIME: Duration = Duration::from_secs(5);

/// Reads on for a while, up to so many bytes, and keeps nothing: most clients read their answer only after all is sent, and
/// a connection that is closed before takes it from them.
async fn throw_away(body: &mut Body, most: usize) {
    let mut left = most;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(fewer) => left = fewer,
                None => return,
            }
        }
    };
    // Whatever ended it: the refusal is told now.
    drop(timeout(LINGER_TIME, reading).await);
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
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

fn unreadable_json(rejection: &JsonRejection) -> ApiError {
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

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _, stream};

    use super::*;

    #[tokio::test]
    async fn large_json_is_read_off_the_threads_that_serve_everybody() {
        let read = |bytes: usize| {
            let json = format!("\"{}\"", "x".repeat(bytes)).into_bytes();
            async move { parsed::<String>(&Offload::busy(), json).await }.now_or_never()
        };
        assert!(read(10).is_some_and(|text| text.is_ok()), "what is small is not kept waiting");
        assert!(read(1024 * 1024).is_none(), "no thread is free for it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up_as_too_slow() {
        let pieces = stream::iter([Ok::<_, std::io::Error>("{")]).chain(stream::pending());
        let request = Request::new(Body::from_stream(pieces));
        let error = body(request).await.unwrap_err();
        assert_eq!((error.code(), error.into_response().status()), ("body_too_slow", StatusCode::REQUEST_TIMEOUT));
    }
}
