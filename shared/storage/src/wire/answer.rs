//! A whole answer, and readers of its common headers.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use longshore_model::FailureReason;

use crate::{ErrorKind, ObjectMeta, Op, StorageError};

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header as text. `None` if it is missing or not text.
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Reads an object's size and modification time from the headers of a HEAD answer. The caller passes the etag,
    /// whose header depends on the kind.
    ///
    /// # Errors
    /// The headers have no size.
    pub(crate) fn object(&self, key: &str, etag: Option<String>) -> Result<ObjectMeta, StorageError> {
        let size = self.header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        Ok(ObjectMeta {
            key: key.to_owned(),
            size: size.ok_or_else(|| StorageError::new(Op::Head, ErrorKind::Invalid, FailureReason::BadAnswer))?,
            etag,
            modified_at: self.header(header::LAST_MODIFIED).and_then(http_date),
            ..ObjectMeta::default()
        })
    }

    /// How long the server asks the client to wait; the header holds seconds or a date.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let text = self.header(header::RETRY_AFTER)?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

/// Parses a date in the format of HTTP.
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text.trim()).ok()?.try_into().ok()
}
