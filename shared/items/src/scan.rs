//! Checks JSON text strictly in one pass and finds the position of the first fault.
//!
//! Besides the grammar, it checks for values that the database cannot hold. It has its own stack, so that nested values
//! take limited memory and cannot overflow the thread's stack.

mod faults;

use std::ops::Range;

use longshore_model::{QuarantineReason, json};

use super::Fault;
use super::numbers::{Numbers, is_for_database, is_for_python};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    List,
    Object,
}

/// A position in a text, which moves forward value by value.
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    open: Vec<Container>,
    max_depth: usize,
    /// How many bytes longer the current value is when the database prints it.
    growth: usize,
    max_growth: usize,
    numbers: Numbers,
}

impl<'a> Scanner<'a> {
    /// Starts at the beginning of a text whose values may each be printed in this many bytes.
    pub(super) fn new(text: &'a [u8], max_depth: usize, max_printed: usize, numbers: Numbers) -> Self {
        Self { text, at: 0, open: Vec::new(), max_depth, growth: 0, max_growth: max_printed, numbers }
    }

    /// How many bytes longer the last value is when the database prints it, at most.
    pub(super) fn growth(&self) -> usize {
        self.growth
    }

    /// Continues in another part of the same text. Offsets remain those of the whole text.
    pub(super) fn move_to(&mut self, text: &'a [u8], part: Range<usize>) {
        self.text = &text[..part.end];
        self.at = part.start;
    }

    pub(super) fn offset(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Consumes the next byte if it is this one.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let comes = self.peek() == Some(byte);
        self.at += usize::from(comes);
        comes
    }

    /// Consumes these characters if they are next.
    pub(super) fn take_all(&mut self, next: &str) -> bool {
        let comes = self.text[self.at..].starts_with(next.as_bytes());
        self.at += if comes { next.len() } else { 0 };
        comes
    }

    pub(super) fn skip_blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Consumes the value that starts here and returns its range.
    pub(super) fn value(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.at;
        self.open.clear();
        self.growth = 0;
        loop {
            match self.peek() {
                Some(b'{') => {
                    if self.enter(Container::Object, b'}')? {
                        self.name()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    if self.enter(Container::List, b']')? {
                        continue;
                    }
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                _ => return Err(self.no_value(self.at)),
            }
            if self.close()? {
                return Ok(start..self.at);
            }
        }
    }

    /// Enters a list or object. Returns false if it is empty; then its end is consumed too.
    fn enter(&mut self, container: Container, end: u8) -> Result<bool, Fault> {
        if self.open.len() >= self.max_depth {
            let detail = format!("Nested deeper than {} levels. Flatten the data.", self.max_depth);
            return Err(Fault::new(QuarantineReason::TooDeep, detail).at(self.at));
        }
        self.at += 1;
        self.skip_blank();
        if self.take(end) {
            return Ok(false);
        }
        self.open.push(container);
        Ok(true)
    }

    /// After a value, closes the lists and objects that end with it and moves to the next value. Returns true if there
    /// is none.
    fn close(&mut self) -> Result<bool, Fault> {
        while let Some(&container) = self.open.last() {
            self.skip_blank();
            match (container, self.peek()) {
                (Container::Object, Some(b',')) => {
                    self.at += 1;
                    self.growth += 1;
                    self.skip_blank();
                    self.name()?;
                    return Ok(false);
                }
                (Container::List, Some(b',')) => {
                    self.at += 1;
                    self.growth += 1;
                    self.skip_blank();
                    return Ok(false);
                }
                (Container::Object, Some(b'}')) | (Container::List, Some(b']')) => {
                    self.at += 1;
                    self.open.pop();
                }
                (Container::Object, _) => return Err(self.unexpected("A comma or } is expected here")),
                (Container::List, _) => return Err(self.unexpected("A comma or ] is expected here")),
            }
        }
        Ok(true)
    }

    /// Consumes a member's name and the colon.
    fn name(&mut self) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("A name in double quotes is expected here"));
        }
        self.string()?;
        self.skip_blank();
        if !self.take(b':') {
            return Err(self.unexpected("A colon is expected here"));
        }
        self.growth += 1;
        self.skip_blank();
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Fault> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Err(self.no_value(self.at));
        }
        self.at += word.len();
        Ok(())
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err(self.unexpected("A control character in a string must be escaped")),
                Some(_) => self.at += 1,
                None => return Err(self.unexpected("The string must be closed")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.hex(self.at + 2)? {
                0 => return Err(self.unsupported("\\u0000, which the database cannot hold")),
                0xdc00..=0xdfff => return Err(self.unsupported("half of a surrogate pair")),
                0xd800..=0xdbff => {
                    let paired = self.text[self.at + 6..].starts_with(b"\\u")
                        && matches!(self.hex(self.at + 8)?, 0xdc00..=0xdfff);
                    if !paired {
                        return Err(self.unsupported("half of a surrogate pair"));
                    }
                    self.at += 12;
                }
                _ => self.at += 6,
            },
            _ => {
                self.at = (self.at + 1).min(self.text.len());
                return Err(self.unexpected("One of \" \\ / b f n r t u is expected after a backslash"));
            }
        }
        Ok(())
    }

    /// The value of four hexadecimal digits.
    fn hex(&mut self, from: usize) -> Result<u16, Fault> {
        let mut code = 0;
        for at in from..from + 4 {
            let digit = self.text.get(at).and_then(|&byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                self.at = at.min(self.text.len());
                return Err(self.unexpected("Four hexadecimal digits are expected after \\u"));
            };
            code = code << 4 | digit as u16;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        if self.take(b'-') && self.peek().is_some_and(|byte| byte.is_ascii_alphabetic()) {
            return Err(self.no_value(start));
        }
        let whole = if self.take(b'0') { 1 } else { self.digits()? };
        let fraction = if self.take(b'.') { self.digits()? } else { 0 };
        let has_exponent = self.take(b'e') || self.take(b'E');
        let exponent = if has_exponent { self.exponent()? } else { 0 };

        if !is_for_database(whole, fraction, exponent) {
            self.at = start;
            return Err(self.unsupported("a number that the database cannot hold"));
        }
        let is_double = has_exponent || fraction > 0;
        if self.numbers == Numbers::OfPython && !is_for_python(&self.text[start..self.at], is_double, whole) {
            self.at = start;
            return Err(self.unsupported("a number that Label Studio cannot read"));
        }
        if exponent != 0 {
            let number = &self.text[start..self.at];
            self.growth += json::printed_number(number).saturating_sub(number.len());
            if self.growth > self.max_growth {
                self.at = start;
                return Err(self.too_long());
            }
        }
        Ok(())
    }

    /// Consumes and counts digits, at least one.
    fn digits(&mut self) -> Result<i64, Fault> {
        let rest = &self.text[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        match count {
            0 => Err(self.unexpected("A digit is expected here")),
            _ => Ok(count as i64),
        }
    }

    fn exponent(&mut self) -> Result<i64, Fault> {
        let negative = self.take(b'-');
        if !negative {
            self.take(b'+');
        }
        let start = self.at;
        self.digits()?;
        let digits = self.text[start..self.at].iter();
        let size = digits.fold(0_i64, |size, byte| size.saturating_mul(10).saturating_add(i64::from(byte - b'0')));
        Ok(if negative { -size } else { size })
    }

    /// The fault of a text that is not JSON at this position.
    pub(super) fn unexpected(&self, expected: &str) -> Fault {
        let detail = match self.peek() {
            None => format!("{expected}, but the text ends here: it is cut off. Upload the whole file."),
            Some(_) => format!("{expected}. Correct the JSON."),
        };
        Fault::new(QuarantineReason::InvalidJson, detail).at(self.at)
    }

    /// The fault of JSON with a value that the database cannot hold.
    fn unsupported(&self, what: &str) -> Fault {
        let detail = format!("The data contains {what}. Remove or replace it.");
        Fault::new(QuarantineReason::UnsupportedValue, detail).at(self.at)
    }
}
