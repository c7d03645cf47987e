//! The bytes of an object as a browser would see them: without the encoding in which the object is stored.

use std::io::Read;

use axum::body::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// Why an object cannot be shown as a browser would see it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Undecoded {
    /// The decoded bytes are more than the caller accepts.
    TooLarge,
    /// The encoding is not one that is decoded here, or the bytes are not in it.
    Unreadable,
}

/// Whether bytes with this `Content-Encoding` need decoding.
pub(super) fn is_encoded(content_encoding: Option<&str>) -> bool {
    content_encoding
        .map(str::trim)
        .is_some_and(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity"))
}

/// Decodes bytes, to at most `most` bytes. Takes time and memory in proportion to `most`.
///
/// `br`, `zstd` and several encodings at once are not decoded: a browser that gets a URL instead does it.
pub(super) fn decode(bytes: &[u8], content_encoding: &str, most: u64) -> Result<Bytes, Undecoded> {
    match content_encoding.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => read(MultiGzDecoder::new(bytes), most),
        // HTTP means zlib by `deflate`; some servers send the bare format, and browsers read both.
        "deflate" => match read(ZlibDecoder::new(bytes), most) {
            Err(Undecoded::Unreadable) => read(DeflateDecoder::new(bytes), most),
            decoded => decoded,
        },
        _ => Err(Undecoded::Unreadable),
    }
}

fn read(decoder: impl Read, most: u64) -> Result<Bytes, Undecoded> {
    let mut decoded = Vec::new();
    let read = decoder.take(most.saturating_add(1)).read_to_end(&mut decoded);
    match read {
        Ok(length) if length as u64 > most => Err(Undecoded::TooLarge),
        Ok(_) => Ok(decoded.into()),
        Err(_) => Err(Undecoded::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_encodings_of_http_are_decoded() {
        let (mut zlib, mut bare) =
            (ZlibEncoder::new(Vec::new(), Compression::fast()), DeflateEncoder::new(Vec::new(), Compression::fast()));
        zlib.write_all(b"image").unwrap();
        bare.write_all(b"image").unwrap();
        let two = [gzip(b"ima"), gzip(b"ge")].concat();
        for (encoding, bytes) in [
            ("gzip", gzip(b"image")),
            (" X-GZIP", two),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", bare.finish().unwrap()),
        ] {
            assert_eq!(decode(&bytes, encoding, 5).unwrap(), "image", "{encoding}");
            assert_eq!(decode(&bytes, encoding, 4), Err(Undecoded::TooLarge), "{encoding}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked_and_other_encodings_are_left() {
        let bomb = gzip(&vec![0; 50_000_000]);
        assert_eq!(decode(&bomb, "gzip", 1_000_000), Err(Undecoded::TooLarge));
        for (encoding, bytes) in
            [("br", &b"x"[..]), ("gzip, gzip", &b"x"[..]), ("gzip", &b"no gzip"[..]), ("", &b""[..])]
        {
            assert_eq!(decode(bytes, encoding, 10), Err(Undecoded::Unreadable), "{encoding}");
        }
        assert_eq!(["gzip", " ", "Identity"].map(|encoding| is_encoded(Some(encoding))), [true, false, false]);
    }
}
