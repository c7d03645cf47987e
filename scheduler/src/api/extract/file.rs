//! A body that is a file of tasks: as it is, or as the only part of a form.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde_json::Value;

use super::body::read;
use super::media::Media;
use super::{multipart, unreadable};
use crate::api::ApiState;
use crate::api::error::ApiError;

/// The bytes of a file of tasks.
pub(in crate::api) struct TaskFile(pub(in crate::api) Bytes);

impl FromRequest<ApiState> for TaskFile {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &ApiState) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        let bytes = read(request).await?;
        let wrong = |detail: &str| Err(unreadable(StatusCode::BAD_REQUEST, detail.to_owned()));
        match Media::of(&headers, &bytes)? {
            Media::Json => Ok(Self(bytes.into())),
            Media::Form => wrong("Send the tasks as JSON, or as a form with parts: `-F file=@tasks.json`."),
            Media::Multipart { boundary } => {
                let parts = multipart::fields(&bytes, &boundary)?;
                let mut texts = parts.into_iter().map(|(_, text)| text);
                match (texts.next(), texts.next()) {
                    (Some(Value::String(text)), None) => Ok(Self(text.into())),
                    _ => wrong("Send one file: `-F file=@tasks.json`."),
                }
            }
        }
    }
}
