//! The `Range` header of a request.
//!
//! `headers::Range` needs the size of the object to return a range, but here the range is part of the first request to
//! the storage, before the size is known.

use longshore_storage::Range;

/// The bytes that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestedRange {
    From(Range),
    /// This many bytes at the end.
    Last(u64),
}

/// The largest number that storages accept. No object is this large.
const FARTHEST: u64 = i64::MAX as u64;

/// Parses the header. `None` unless it is a single byte range; then HTTP requires the whole object as the answer.
pub(super) fn read(header: &str) -> Option<RequestedRange> {
    let (unit, range) = header.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first.trim(), last.trim()) {
        ("", last) => Some(RequestedRange::Last(number(last)?)),
        (first, "") => Some(RequestedRange::From(Range { first: number(first)?, last: None })),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            let until = (last < FARTHEST).then_some(last);
            (first <= last).then_some(RequestedRange::From(Range { first, last: until }))
        }
    }
}

/// Parses a number of any length. Larger numbers become [`FARTHEST`].
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(FARTHEST).min(FARTHEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_byte_range_is_parsed_and_other_headers_mean_the_whole_object() {
        let from = |first, last| Some(RequestedRange::From(Range { first, last }));
        for (header, requested) in [
            ("bytes=0-", from(0, None)),
            ("bytes=5-9", from(5, Some(9))),
            ("Bytes = 5 - 5", from(5, Some(5))),
            ("bytes=-5", Some(RequestedRange::Last(5))),
            ("bytes=-0", Some(RequestedRange::Last(0))),
            ("bytes=0-99999999999999999999999", from(0, None)),
        ] {
            assert_eq!(read(header), requested, "{header}");
        }
        for header in
            ["", "bytes", "bytes=", "bytes=-", "bytes=9-5", "bytes=a-b", "items=0-1", "bytes=0-1,3-4", "bytes=+1-2"]
        {
            assert_eq!(read(header), None, "{header}");
        }
    }
}
