//! JSON as Python writes it by default: `", "` and `": "` as separators, and only ASCII.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::ser::Formatter;
use sha2::{Digest, Sha256};

use super::Measurement;

/// Encodes a document of about `length` bytes. Raw parts keep the order of their keys and the spelling of numbers.
pub(super) fn encode(document: &impl Serialize, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, OneLine);
    document
        .serialize(&mut serializer)
        .expect("named fields of plain types and a vector to write to: nothing can fail");
    bytes
}

/// The length and the SHA-256 of the result of [`encode`], without keeping that in memory.
pub(super) fn measure(document: &impl Serialize) -> Measurement {
    let mut digester = BufWriter::with_capacity(8 * 1024, Digester::default());
    let mut serializer = serde_json::Serializer::with_formatter(&mut digester, OneLine);
    document
        .serialize(&mut serializer)
        .expect("named fields of plain types and a digest to write to: nothing can fail");
    let digester = digester.into_inner().map_err(|_| ()).expect("a digest takes all");
    Measurement { length: digester.length, digest: digester.digest.finalize().into() }
}

#[derive(Default)]
struct Digester {
    digest: Sha256,
    length: usize,
}

impl Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.digest.update(bytes);
        self.length += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct OneLine;

impl Formatter for OneLine {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        escape(out, fragment)
    }

    /// Writes raw JSON with the separators of this format. Existing escapes stay.
    fn write_raw_fragment<W: ?Sized + Write>(&mut self, out: &mut W, json: &str) -> io::Result<()> {
        let mut rest = json;
        while let Some(next) = rest.find(['"', ',', ':', ' ', '\t', '\n', '\r']) {
            let (token, tail) = rest.split_at(next);
            out.write_all(token.as_bytes())?;
            let length = match tail.as_bytes()[0] {
                b'"' => string_length(tail),
                _ => 1,
            };
            let (token, tail) = tail.split_at(length);
            match token {
                "," => out.write_all(b", ")?,
                ":" => out.write_all(b": ")?,
                " " | "\t" | "\n" | "\r" => {}
                string => escape(out, string)?,
            }
            rest = tail;
        }
        out.write_all(rest.as_bytes())
    }
}

/// The bytes of the JSON string at the start of the text, including its quotes; all bytes if the string does not end.
fn string_length(text: &str) -> usize {
    let mut escaped = true;
    let end = text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    end.map_or(text.len(), |end| end + 1)
}

/// Writes text, with all characters except printable ASCII as `\uXXXX`.
fn escape<W: ?Sized + Write>(out: &mut W, text: &str) -> io::Result<()> {
    let mut rest = text;
    while let Some(next) = rest.find(|char| !matches!(char, ' '..='~')) {
        let (plain, tail) = rest.split_at(next);
        out.write_all(plain.as_bytes())?;
        let mut chars = tail.chars();
        for unit in chars.next().into_iter().flat_map(|char| char.encode_utf16(&mut [0; 2]).to_vec()) {
            write!(out, "\\u{unit:04x}")?;
        }
        rest = chars.as_str();
    }
    out.write_all(rest.as_bytes())
}
