//! Decides by the first bytes of an object whether it can hold tasks, where its name does not say what it is.

use std::io::Read;

use flate2::bufread::GzDecoder;
use longshore_model::QuarantineReason;

use super::Fault;
use super::name::{Compression, Name, by_magic, shown};

/// The first bytes of an object that decide. Text of one page of memory shows its format; a larger part would only cost more.
pub const HEAD_BYTES: u64 = 4 * 1024;

/// What the advice for objects of other formats ends with.
pub(super) const ADVICE: &str = "To import images, audio, text and other media, switch on \"Treat every bucket object as a \
                                 source file\".";

/// Checks the first bytes of an object with such a name. `Ok` means that the rest decides.
pub(super) fn check_head(name: &Name, head: &[u8]) -> Result<(), Fault> {
    match by_magic(head) {
        None => check_start(name, head),
        // Its blocks are often larger than the head.
        Some(Compression::Zstd) => Ok(()),
        Some(Compression::Gzip) => {
            let start = first_unpacked(head);
            if start.is_empty() || by_magic(&start).is_some() { Ok(()) } else { check_start(name, &start) }
        }
    }
}

/// As much as the first bytes of a gzip member unpack to, up to as many bytes.
fn first_unpacked(head: &[u8]) -> Vec<u8> {
    let mut start = Vec::new();
    match GzDecoder::new(head).take(HEAD_BYTES).read_to_end(&mut start) {
        // It is cut off, so there is an error at its end.
        Ok(_) | Err(_) => start,
    }
}

/// Checks the first bytes of an object that is not packed.
pub(super) fn check_start(name: &Name, start: &[u8]) -> Result<(), Fault> {
    let Name::Unknown(ending) = name else { return check_magic(start) };
    let at = first_character(start);
    match start.get(at) {
        None | Some(b'{' | b'[') => return Ok(()),
        Some(_) if is_utf_16(start) => {
            let detail = "The text is not UTF-8. Save the file in UTF-8.";
            return Err(Fault::new(QuarantineReason::NotUtf8, detail).at(0));
        }
        Some(_) => {}
    }
    Err(match ending {
        Some(ending) => Fault::new(
            QuarantineReason::UnsupportedExtension,
            format!(
                "Extension .{} is not one of JSON, and the content does not begin like JSON either. {ADVICE}",
                shown(ending)
            ),
        ),
        None => {
            let detail = format!("The object does not begin like JSON. Correct it. {ADVICE}");
            Fault::new(QuarantineReason::InvalidJson, detail).at(at)
        }
    })
}

/// Checks that an object which is named as JSON does not have the first bytes of another format, which no text has.
fn check_magic(start: &[u8]) -> Result<(), Fault> {
    let Some(format) = other_format(start) else { return Ok(()) };
    let detail = format!(
        "The object holds {format}, whatever its name says. Save tasks as JSON, plain or compressed with gzip or zstd."
    );
    Err(Fault::new(QuarantineReason::InvalidJson, detail).at(0))
}

/// The format that the first bytes show, if it is not one that is read.
pub(super) fn other_format(start: &[u8]) -> Option<&'static str> {
    const FORMATS: [(&[u8], &str); 14] = [
        (b"BZh", "data compressed with bzip2"),
        (b"\xfd7zXZ\0", "data compressed with xz"),
        (b"\x04\x22\x4d\x18", "data compressed with LZ4"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (b"Rar!", "a RAR archive"),
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"RIFF", "audio, video or an image"),
        (b"%PDF", "a PDF document"),
        (b"PAR1", "a Parquet table"),
        (b"Obj\x01", "an Avro table"),
        (b"SQLite format 3\0", "an SQLite database"),
    ];
    FORMATS.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, format)| *format)
}

/// Whether bytes begin like JSON.
pub(super) fn is_json_start(bytes: &[u8]) -> bool {
    matches!(bytes.get(first_character(bytes)), Some(b'{' | b'['))
}

/// Where the first value begins: after a byte order mark, blanks, and the mark of a JSON text sequence.
fn first_character(bytes: &[u8]) -> usize {
    let mark = bytes.strip_prefix(b"\xef\xbb\xbf").map_or(0, |_| 3);
    let is_blank = |byte: &&u8| byte.is_ascii_whitespace() || **byte == 0x1e;
    mark + bytes[mark..].iter().take_while(is_blank).count()
}

/// Whether bytes begin like JSON in UTF-16, or with the mark of it.
fn is_utf_16(start: &[u8]) -> bool {
    let is_first = |byte: u8| matches!(byte, b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n');
    match start {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [first, 0, ..] | [0, first, ..] => is_first(*first),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::packed::gzip;
    use super::*;

    fn refused(key: &str, head: &[u8]) -> Option<&'static str> {
        check_head(&Name::of(key).0, head).err().map(|fault| fault.locate(head).reason.as_str())
    }

    #[test]
    fn objects_that_begin_like_json_may_hold_tasks() {
        let packed = gzip(b"{\"a\": 1}");
        let cut = gzip(format!("[{}", "{\"a\": 12345, \"b\": [\"x\"]},".repeat(9_000)).as_bytes());
        for head in [
            &b"{"[..],
            b" \n[1",
            b"\xef\xbb\xbf\t{",
            b"\x1e{",
            b"",
            b"  ",
            &packed,
            &cut[..100],
            &gzip(&packed),
            b"\x28\xb5\x2f\xfd",
        ] {
            assert_eq!(refused("2024.05", head), None, "{head:?}");
            assert_eq!(refused("a", head), None, "{head:?}");
        }
    }

    #[test]
    fn other_content_is_refused_by_its_first_bytes() {
        for head in [&b"hello"[..], b"\x89PNG", b"\0\0\0\x18ftyp", b"<html>", b"a,b\n", &gzip(b"hello")] {
            assert_eq!(refused("2024.05", head), Some("unsupported_extension"), "{head:?}");
            assert_eq!(refused("a", head), Some("invalid_json"), "{head:?}");
            let expected = (head == b"\x89PNG").then_some("invalid_json");
            assert_eq!(refused("a.json", head), expected, "otherwise its whole content decides: {head:?}");
        }
        for (key, content) in [("a.json", &b"BZh91AY"[..]), ("a.json.gz", b"PK\x03\x04"), ("b.jsonl.zst", b"PAR1")] {
            let refused = crate::data_of_items(key, content).unwrap_err();
            assert_eq!(refused, QuarantineReason::InvalidJson, "{key}");
        }
        for head in [&b"\xff\xfe{\0"[..], b"\xfe\xff\0{", b"{\0}\0", b"\0{"] {
            let reason = if head[0] == b'{' { None } else { Some("not_utf8") };
            assert_eq!(refused("2024.05", head), reason, "{head:?}");
        }
    }
}
