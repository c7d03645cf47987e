//! Byte ranges in HTTP: the request header, and the check of the answer.

use http::{HeaderValue, StatusCode};
use longshore_model::FailureReason;

use crate::{ErrorKind, Op, Range, StorageError};

/// The byte range in an answer, both ends included, and the size of the whole object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) size: u64,
}

impl ContentRange {
    /// Reads a `Content-Range` header, such as `bytes 2-4/10`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (part, size) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = part.split_once('-')?;
        Some(Self { first: first.parse().ok()?, last: last.parse().ok()?, size: size.parse().ok()? })
    }
}

/// The value of a `Range` header.
pub(crate) fn range_header(range: Range) -> HeaderValue {
    let Range { first, last } = range;
    let text = last.map_or_else(|| format!("bytes={first}-"), |last| format!("bytes={first}-{last}"));
    // Digits, a hyphen and `bytes=` are always valid in a header; the fallback is never used.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("bytes=0-"))
}

/// Checks that a successful answer contains the requested byte range, if there was one.
///
/// A server may ignore a range and answer 200 with the whole object. Such an answer is refused even if it is short: the
/// caller would mistake the object's first bytes for the range, or its end for the end of the range.
///
/// # Errors
/// [`FailureReason::NoSuchRange`] if the object ends before the range begins, otherwise [`FailureReason::BadAnswer`].
pub(crate) fn check_range(
    range: Option<Range>,
    status: StatusCode,
    content_range: Option<&str>,
) -> Result<(), StorageError> {
    let Some(range) = range else { return Ok(()) };
    let refusal_error = |reason| Err(StorageError::new(Op::Get, ErrorKind::Invalid, reason));
    if status != StatusCode::PARTIAL_CONTENT {
        return refusal_error(FailureReason::BadAnswer);
    }
    match content_range.and_then(ContentRange::parse) {
        // Azurite answers with an empty range if the requested range begins exactly at the end.
        Some(part) if part.size <= range.first => refusal_error(FailureReason::NoSuchRange),
        Some(part) if part.first != range.first || range.last.is_some_and(|last| last < part.last) => {
            refusal_error(FailureReason::BadAnswer)
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_requested_range_is_accepted() {
        let range = Some(Range { first: 2, last: Some(4) });
        let check = |status: u16, content_range| {
            check_range(range, StatusCode::from_u16(status).unwrap(), content_range).map_err(|error| error.reason)
        };
        for content_range in [Some("bytes 2-4/10"), Some("bytes 2-3/4"), Some("bytes 2-4/*"), None] {
            assert_eq!(check(206, content_range), Ok(()), "{content_range:?}");
        }
        for content_range in [Some("bytes 0-4/10"), Some("bytes 3-4/10"), Some("bytes 2-5/10")] {
            assert_eq!(check(206, content_range), Err(FailureReason::BadAnswer), "{content_range:?}");
        }
        assert_eq!(check(206, Some("bytes 2-1/2")), Err(FailureReason::NoSuchRange));
        assert_eq!(check(200, None), Err(FailureReason::BadAnswer));
        assert!(check_range(None, StatusCode::OK, None).is_ok());
    }
}
