//! JSON as Python writes it: only ASCII, in one line with `", "` and `": "` as separators, or indented by 2.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::ser::Formatter;
use sha2::{Digest, Sha256};

use super::Measurement;

/// How the JSON is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `json.dumps(document)`.
    OneLine,
    /// `json.dumps(document, indent=2)`.
    Lines,
}

/// Encodes a document of about `length` bytes. Raw parts keep the order of their keys and the spelling of numbers.
pub(super) fn encode(document: &impl Serialize, length: usize, layout: Layout) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Python::new(layout));
    document
        .serialize(&mut serializer)
        .expect("named fields of plain types and a vector to write to: nothing can fail");
    bytes
}

/// The length and the SHA-256 of the result of [`encode`], without keeping that in memory.
pub(super) fn measure(document: &impl Serialize, layout: Layout) -> Measurement {
    let mut digester = BufWriter::with_capacity(8 * 1024, Digester::default());
    let mut serializer = serde_json::Serializer::with_formatter(&mut digester, Python::new(layout));
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

struct Python {
    layout: Layout,
    /// Open lists and objects.
    depth: usize,
    /// Whether the innermost of them has no element yet.
    is_empty: bool,
}

impl Python {
    fn new(layout: Layout) -> Self {
        Self { layout, depth: 0, is_empty: false }
    }

    fn open<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &str) -> io::Result<()> {
        self.depth += 1;
        self.is_empty = true;
        out.write_all(bracket.as_bytes())
    }

    fn close<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &str) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if !std::mem::take(&mut self.is_empty) {
            self.start_line(out)?;
        }
        out.write_all(bracket.as_bytes())
    }

    /// Starts an element of a list or object.
    fn separate<W: ?Sized + Write>(&mut self, out: &mut W, is_first: bool) -> io::Result<()> {
        self.is_empty = false;
        match (self.layout, is_first) {
            (Layout::OneLine, true) => Ok(()),
            (Layout::OneLine, false) => out.write_all(b", "),
            (Layout::Lines, true) => self.start_line(out),
            (Layout::Lines, false) => out.write_all(b",").and_then(|()| self.start_line(out)),
        }
    }

    fn start_line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        if self.layout == Layout::Lines {
            out.write_all(b"\n")?;
            (0..self.depth).try_for_each(|_| out.write_all(b"  "))?;
        }
        Ok(())
    }

    /// Starts an element if it is the first one after its bracket.
    fn start_first<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.is_empty { self.separate(out, true) } else { Ok(()) }
    }
}

impl Formatter for Python {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, "[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, "]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.separate(out, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, "{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, "}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.separate(out, first)
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
        while let Some(next) = rest.find(['"', ',', ':', ' ', '\t', '\n', '\r', '{', '}', '[', ']']) {
            let (token, tail) = rest.split_at(next);
            if !token.is_empty() {
                self.start_first(out)?;
                out.write_all(token.as_bytes())?;
            }
            let length = match tail.as_bytes()[0] {
                b'"' => string_length(tail),
                _ => 1,
            };
            let (token, tail) = tail.split_at(length);
            match token {
                "," => self.separate(out, false)?,
                ":" => out.write_all(b": ")?,
                " " | "\t" | "\n" | "\r" => {}
                "{" | "[" => {
                    self.start_first(out)?;
                    self.open(out, token)?;
                }
                "}" | "]" => self.close(out, token)?,
                string => {
                    self.start_first(out)?;
                    escape(out, string)?;
                }
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
