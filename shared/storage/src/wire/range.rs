//! Byte ranges in HTTP: how one is asked for, and whether an answer brings it.

use http::{HeaderValue, StatusCode};
use longshore_model::FailureReason;

use crate::{ErrorKind, Op, Range, StorageError};

/// The part of an object that an answer brings, both ends included, and the size of the whole object.
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
    // Digits, a hyphen and `bytes=` are what a header may hold; the other arm is never taken.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("bytes=0-"))
}

/// Checks that a successful answer brings the byte range that was asked for, if one was.
///
/// A server may ignore a range and answer 200 with the whole object. Such an answer is refused however short it is:
/// the caller would take the object's first bytes for others, or its end for the end of the range.
///
/// # Errors
/// [`FailureReason::NoSuchRange`] where the object ends before the range begins, else
/// [`FailureReason::BadAnswer`].
pub(crate) fn check_range(
    range: Option<Range>,
    status: StatusCode,
    content_range: Option<&str>,
) -> Result<(), StorageError> {
    let Some(range) = range else { return Ok(()) };
    let refused = |reason| Err(StorageError::new(Op::Get, ErrorKind::Invalid, reason));
    if status != StatusCode::PARTIAL_CONTENT {
        return refused(FailureReason::BadAnswer);
    }
    match content_range.and_then(ContentRange::parse) {
        // Azurite gives a part of nothing for a range that begins right behind the end.
        Some(part) if part.size <= range.first => refused(FailureReason::NoSuchRange),
        Some(part) if part.first != range.first || range.last.is_some_and(|last| last < part.last) => {
            refused(FailureReason::BadAnswer)
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_range_that_was_asked_for_is_taken() {
        let range = Some(Range { first: 2, last: Some(4) });
        let judged = |status: u16, content_range| {
            check_range(range, StatusCode::from_u16(status).unwrap(), content_range).map_err(|error| error.reason)
        };
        for content_range in [Some("bytes 2-4/10"), Some("bytes 2-3/4"), Some("bytes 2-4/*"), None] {
            assert_eq!(judged(206, content_range), Ok(()), "{content_range:?}");
        }
        for content_range in [Some("bytes 0-4/10"), Some("bytes 3-4/10"), Some("bytes 2-5/10")] {
            assert_eq!(judged(206, content_range), Err(FailureReason::BadAnswer), "{content_range:?}");
        }
        assert_eq!(judged(206, Some("bytes 2-1/2")), Err(FailureReason::NoSuchRange));
        assert_eq!(judged(200, None), Err(FailureReason::BadAnswer));
        assert!(check_range(None, StatusCode::OK, None).is_ok());
    }
}
