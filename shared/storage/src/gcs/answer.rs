//! What the headers of an answer say about the object's bytes.

use http::{HeaderMap, header};

use crate::cloud::base64_md5;

/// The MD5 of an object's bytes. `None` for a composed object, which has none, and for one that was decompressed on the
/// way: the digest is that of the stored bytes.
pub(super) fn md5(headers: &HeaderMap) -> Option<[u8; 16]> {
    if is_recoded(headers) {
        return None;
    }
    // `crc32c=…,md5=…` in one header, or each in a separate header.
    let hashes = headers.get_all("x-goog-hash").iter().filter_map(|value| value.to_str().ok());
    hashes.flat_map(|hashes| hashes.split(',')).find_map(|hash| base64_md5(hash.trim().strip_prefix("md5=")?))
}

/// The size of the stored object, if Google or a proxy decompressed it on the way.
pub(super) fn stored_size(headers: &HeaderMap) -> Option<u64> {
    if !is_recoded(headers) {
        return None;
    }
    text(headers, "x-goog-stored-content-length")?.parse().ok()
}

/// Whether the answer has the bytes in another encoding than the stored one.
fn is_recoded(headers: &HeaderMap) -> bool {
    let encoding = |name: &str| text(headers, name).unwrap_or("identity");
    headers.contains_key("x-goog-stored-content-encoding")
        && encoding("x-goog-stored-content-encoding") != encoding(header::CONTENT_ENCODING.as_str())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_size_of_an_object_that_was_decompressed_is_the_stored_one() {
        let stored = [("x-goog-stored-content-encoding", "gzip"), ("x-goog-stored-content-length", "27")];
        let hash = [("x-goog-hash", "crc32c=AAAAAA==,md5=AAAAAAAAAAAAAAAAAAAAAQ==")];
        let recoded = headers(&[&stored[..], &hash[..]].concat());
        assert_eq!((stored_size(&recoded), md5(&recoded)), (Some(27), None));
        let plain = headers(&[&stored[..], &hash[..], &[("content-encoding", "gzip")]].concat());
        assert_eq!((stored_size(&plain), md5(&plain).map(|digest| digest[15])), (None, Some(1)));
    }

    #[test]
    fn an_answer_without_a_stored_encoding_has_the_stored_bytes() {
        for all in [
            &[][..],
            &[("content-encoding", "gzip")],
            &[("x-goog-stored-content-encoding", "identity"), ("x-goog-stored-content-length", "5")],
        ] {
            assert_eq!(stored_size(&headers(all)), None, "{all:?}");
        }
        let own = headers(&[("x-goog-hash", "md5=AAAAAAAAAAAAAAAAAAAAAQ==")]);
        assert_eq!(md5(&own).map(|digest| digest[15]), Some(1));
        assert_eq!(md5(&headers(&[("x-goog-hash", "crc32c=AAAAAA==")])), None);
    }
}
