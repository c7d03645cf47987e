//! A body of named fields: a JSON object or a form.

use std::fmt::{self, Formatter};

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::header;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::body::read;
use super::media::Media;
use super::multipart::MOST_FIELDS;
use super::{multipart, parsed, unreadable};
use crate::api::ApiState;
use crate::api::error::ApiError;

/// A body of named fields: a JSON object or a form.
pub(in crate::api) struct Object(pub(in crate::api) Map<String, Value>);

impl FromRequest<ApiState> for Object {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        let bytes = read(request).await?;
        let fields = match Media::of(&headers, &bytes)? {
            Media::Json => parsed::<FlatObject>(&state.offload, bytes).await?.0,
            Media::Form => form(bytes).await?,
            Media::Multipart { boundary } => multipart::fields(&bytes, &boundary)?,
        };
        Ok(Self(fields))
    }
}

/// The fields of a form, as texts.
pub(super) async fn form(bytes: Vec<u8>) -> Result<Map<String, Value>, ApiError> {
    let request = Request::post("/").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let mut request = request.body(Body::from(bytes)).map_err(ApiError::internal)?;
    // The body was read within the limit of its route.
    DefaultBodyLimit::disable().apply(&mut request);
    let form = axum::Form::<FlatObject>::from_request(request, &()).await;
    form.map(|axum::Form(fields)| fields.0).map_err(|rejection| unreadable(rejection.status(), rejection.body_text()))
}

/// An object of at most [`MOST_FIELDS`] fields. Lists and objects in it are read as empty ones: no field takes them,
/// and 4 MiB of nested JSON would take 100 MiB of memory.
struct FlatObject(Map<String, Value>);

impl<'de> Deserialize<'de> for FlatObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = FlatObject;

            fn expecting(&self, out: &mut Formatter<'_>) -> fmt::Result {
                out.write_str("an object of fields")
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

/// A value whose nested content is skipped.
pub(super) struct FlatValue(pub(super) Value);

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
