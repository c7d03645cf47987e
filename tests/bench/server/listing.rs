//! The answer to `ListObjectsV2`, as AWS writes it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::bucket::Bucket;

/// What `encoding-type=url` leaves as it is.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Appended to a prefix, it sorts after all keys with that prefix.
const LAST: &str = "\u{10FFFF}";

/// A listing request.
#[derive(Debug, Default)]
pub struct Query {
    prefix: String,
    delimiter: String,
    after: String,
    most: usize,
}

impl Query {
    /// Reads the query of a URI and ignores unknown parameters.
    pub fn read(text: &str) -> Self {
        let mut query = Self { most: 1_000, ..Self::default() };
        for (name, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            match name {
                "prefix" => query.prefix = value,
                "delimiter" => query.delimiter = value,
                "start-after" if query.after.is_empty() => query.after = value,
                // A token is the key to continue after.
                "continuation-token" => query.after = value,
                "max-keys" => query.most = value.parse().unwrap_or(1_000).min(1_000),
                _ => {}
            }
        }
        query
    }
}

/// The answer, and the number of keys and prefixes in it.
pub fn answer(bucket: &Bucket, name: &str, query: &Query) -> (Vec<u8>, u64) {
    let range = bucket.range(query.prefix.as_bytes(), query.after.as_bytes());
    let (mut index, mut entries, mut last) = (range.start, 0, String::new());
    let (mut contents, mut prefixes) = (Vec::with_capacity(query.most * 240), String::new());
    let mut key = Vec::new();
    while index < range.end && entries < query.most {
        key.clear();
        bucket.write_key(index, &mut key);
        entries += 1;
        if let Some(folder) = folder(&key, query) {
            let folder = String::from_utf8_lossy(folder).into_owned();
            prefixes.push_str("<CommonPrefixes><Prefix>");
            prefixes.extend(utf8_percent_encode(&folder, KEPT));
            prefixes.push_str("</Prefix></CommonPrefixes>");
            index = bucket.first(|key| key > folder.as_bytes() && !key.starts_with(folder.as_bytes()));
            last = folder + LAST;
        } else {
            object(&key, &mut contents);
            index += 1;
            last.clear();
        }
    }
    // Empty unless the page ends with a folder.
    if last.is_empty() {
        last = String::from_utf8_lossy(&key).into_owned();
    }
    let truncated = index < range.end && entries > 0;
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Name>{name}</Name><Prefix>{}</Prefix><KeyCount>{entries}</KeyCount><MaxKeys>{}</MaxKeys>\
         <EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated>",
        utf8_percent_encode(&query.prefix, KEPT),
        query.most,
    )
    .into_bytes();
    if truncated {
        text.extend_from_slice(format!("<NextContinuationToken>{last}</NextContinuationToken>").as_bytes());
    }
    text.append(&mut contents);
    text.extend_from_slice(prefixes.as_bytes());
    text.extend_from_slice(b"</ListBucketResult>");
    (text, entries as u64)
}

/// The part of a key up to and with the first delimiter after the prefix.
fn folder<'a>(key: &'a [u8], query: &Query) -> Option<&'a [u8]> {
    let delimiter = query.delimiter.as_bytes();
    let from = query.prefix.len();
    let at = (!delimiter.is_empty())
        .then(|| key[from..].windows(delimiter.len()).position(|window| window == delimiter))
        .flatten()?;
    Some(&key[..from + at + delimiter.len()])
}

/// The ETag of a key, without quotes: different for each, and the same in listings and answers.
pub(super) fn etag(key: &[u8]) -> [u8; 32] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    // FNV-1a.
    let hash = key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut bits = u128::from(hash).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    std::array::from_fn(|_| {
        let digit = HEX[(bits >> 124) as usize];
        bits <<= 4;
        digit
    })
}

/// Writes one key. No form of keys needs escapes.
fn object(key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"<Contents><Key>");
    out.extend_from_slice(key);
    out.extend_from_slice(b"</Key><LastModified>2026-03-14T15:09:26.000Z</LastModified><ETag>&quot;");
    out.extend_from_slice(&etag(key));
    out.extend_from_slice(b"&quot;</ETag><Size>1024</Size><StorageClass>STANDARD</StorageClass></Contents>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::bucket::Form;

    fn list(bucket: &Bucket, query: &str) -> String {
        String::from_utf8(answer(bucket, "b", &Query::read(query)).0).unwrap()
    }

    fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
        text.split(open).skip(1).filter_map(|rest| rest.split(close).next()).collect()
    }

    #[test]
    fn pages_hold_every_key_once() {
        let bucket = Bucket::new(Form::Dates, 12_345);
        let (mut keys, mut token): (Vec<String>, String) = (Vec::new(), String::new());
        loop {
            let text = list(&bucket, &format!("list-type=2&max-keys=1000&continuation-token={token}"));
            keys.extend(between(&text, "<Key>", "</Key>").into_iter().map(str::to_owned));
            match between(&text, "<NextContinuationToken>", "<").first() {
                Some(next) => token = (*next).to_owned(),
                None => break,
            }
        }
        assert!(keys.iter().enumerate().all(|(index, key)| *key == bucket.key(index as u64)));
        assert_eq!(keys.len(), 12_345);
    }

    #[test]
    fn folders_are_rolled_up_and_continued_after() {
        let bucket = Bucket::new(Form::Dates, 12_345);
        let text = list(&bucket, "list-type=2&delimiter=%2F&prefix=2000%2F01%2F&max-keys=2");
        assert_eq!(between(&text, "<CommonPrefixes><Prefix>", "<"), ["2000/01/01/", "2000/01/02/"]);
        let token = between(&text, "<NextContinuationToken>", "<")[0].to_owned();
        let text = list(&bucket, &format!("delimiter=/&prefix=2000/01/&continuation-token={token}"));
        assert_eq!(between(&text, "<CommonPrefixes><Prefix>", "<"), ["2000/01/03/"]);
        assert!(text.contains("<IsTruncated>false"));
    }

    #[test]
    fn a_listing_starts_after_the_key_it_is_told() {
        let bucket = Bucket::new(Form::Flat, 10);
        let text = list(&bucket, "start-after=images%2F0000000003.jpg&max-keys=1");
        assert_eq!(between(&text, "<Key>", "<"), ["images/0000000004.jpg"]);
        assert!(text.contains("<IsTruncated>true"));
        let text = list(&bucket, "start-after=images%2F0000000008.jpg&max-keys=1");
        assert!(text.contains("<IsTruncated>false"));
    }
}
