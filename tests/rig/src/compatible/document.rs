//! The bytes in which a store sends a document.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::profile::{Document, Profile};

/// A document with this root element.
pub(super) fn bytes(profile: &Profile, root: &str) -> Vec<u8> {
    let declared = |encoding| format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>{root}");
    match profile.document {
        Document::Plain => declared("UTF-8").into_bytes(),
        Document::Undeclared => format!("\r\n\n {root}\n").into_bytes(),
        Document::Marked => format!("\u{FEFF}{}", declared("UTF-8")).into_bytes(),
        Document::Utf16 => {
            format!("\u{FEFF}{}", declared("UTF-16")).encode_utf16().flat_map(u16::to_le_bytes).collect()
        }
        Document::Latin1 => declared("ISO-8859-1").chars().flat_map(latin_1).collect(),
        Document::Packed => {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(declared("UTF-8").as_bytes()).expect("a vector takes all");
            packed.finish().expect("a vector takes all")
        }
    }
}

/// A character of Latin-1, or a reference to another one.
fn latin_1(char: char) -> Vec<u8> {
    u8::try_from(char).map_or_else(|_| format!("&#{};", u32::from(char)).into_bytes(), |byte| vec![byte])
}
