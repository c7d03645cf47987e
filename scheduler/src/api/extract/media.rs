//! The form in which a body was sent: JSON, a form, or a form with parts.

use axum::http::{HeaderMap, StatusCode, header};

use super::multipart;
use super::unreadable;
use crate::api::error::ApiError;

/// How to send a body, for callers who sent it otherwise.
const ADVICE: &str = "Send the body with the header `Content-Type: application/json`.";

/// The form in which a body was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    Form,
    Multipart { boundary: String },
}

impl Media {
    /// Reads the media type of a body. JSON without its type, or with the type of a form as curl sends it, counts as JSON.
    ///
    /// # Errors
    /// The media type is none of these.
    pub(super) fn of(headers: &HeaderMap, body: &[u8]) -> Result<Self, ApiError> {
        let stated = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let (kind, parameters) = stated.split_once(';').unwrap_or((stated, ""));
        let kind = kind.trim().to_ascii_lowercase();
        let is_object = body.trim_ascii_start().first().is_some_and(|sign| matches!(sign, b'{' | b'['));
        match &*kind {
            "application/json" => Ok(Self::Json),
            json if json.starts_with("application/") && json.ends_with("+json") => Ok(Self::Json),
            "" | "text/plain" | "application/x-www-form-urlencoded" if is_object => Ok(Self::Json),
            "application/x-www-form-urlencoded" => Ok(Self::Form),
            "multipart/form-data" => multipart::boundary(parameters)
                .map(|boundary| Self::Multipart { boundary })
                .ok_or_else(|| unreadable(StatusCode::BAD_REQUEST, "The form has no boundary.".to_owned())),
            _ => Err(unreadable(StatusCode::UNSUPPORTED_MEDIA_TYPE, ADVICE.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(kind: &str, body: &str) -> Option<Media> {
        let mut headers = HeaderMap::new();
        if !kind.is_empty() {
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        }
        Media::of(&headers, body.as_bytes()).ok()
    }

    #[test]
    fn json_is_read_whatever_simple_type_it_was_sent_with() {
        for kind in ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/a+json"] {
            assert_eq!(media(kind, "["), Some(Media::Json), "{kind}");
        }
        for kind in ["", "text/plain", "application/x-www-form-urlencoded"] {
            assert_eq!(media(kind, " {\"a\": 1}"), Some(Media::Json), "{kind}");
        }
        assert_eq!(media("application/x-www-form-urlencoded", "a=1"), Some(Media::Form));
        let multipart = media("multipart/form-data; boundary=\"--x\"", "");
        assert_eq!(multipart, Some(Media::Multipart { boundary: "--x".to_owned() }));
        for (kind, body) in [("", "a=1"), ("text/csv", "{}"), ("multipart/form-data", ""), ("image/png", "{")] {
            assert_eq!(media(kind, body), None, "{kind}");
        }
    }
}
