//! Reads escapes, which begin with a backslash.

use super::parser::Parser;
use super::{Assertion, Flags, Node};
use crate::chars::{self, Class, Set};
use crate::error::FilterError;

/// The largest character that an octal escape may name.
const MAX_OCTAL: u32 = 0o377;

/// The meaning of an escape inside of a set.
pub(super) enum Escaped {
    Char(char),
    Set(Set),
}

impl Parser {
    /// Reads an escape outside of sets.
    pub(super) fn escape(&mut self, flags: Flags) -> Result<Node, FilterError> {
        let start = self.position() - 1;
        let Some(char) = self.next() else { return Err(self.invalid_at(start, "bad escape (end of pattern)")) };
        let (ascii, assert) = (flags.ascii, |assertion| Ok(Node::Assert(assertion)));
        match char {
            'A' => assert(Assertion::Start),
            'Z' => assert(Assertion::End),
            'b' => assert(Assertion::Word { ascii, negative: false }),
            'B' => assert(Assertion::Word { ascii, negative: true }),
            '0' => {
                let digits = self.take_while(2, is_octal);
                let char = self.char_of(&format!("0{digits}"), 8, start)?;
                self.literal(char, flags)
            }
            '1'..='9' => self.reference_or_octal(char, flags, start),
            _ => match self.escaped(char, ascii, start)? {
                Escaped::Char(char) => self.literal(char, flags),
                Escaped::Set(set) => Ok(Node::Set(set)),
            },
        }
    }

    /// Reads an escape inside of a set.
    pub(super) fn set_escape(&mut self, flags: Flags) -> Result<Escaped, FilterError> {
        let start = self.position() - 1;
        match self.next() {
            None => Err(self.invalid_at(start, "bad escape (end of pattern)")),
            Some('b') => Ok(Escaped::Char('\u{8}')),
            Some(first @ '0'..='7') => {
                let digits = self.take_while(2, is_octal);
                self.octal(&format!("{first}{digits}"), start).map(Escaped::Char)
            }
            Some(char) => self.escaped(char, flags.ascii, start),
        }
    }

    /// Reads an escape that has the same meaning inside and outside of sets.
    fn escaped(&mut self, char: char, ascii: bool, start: usize) -> Result<Escaped, FilterError> {
        Ok(Escaped::Char(match char {
            'd' => return Ok(Escaped::Set(chars::class(Class::Digit, ascii, false))),
            'D' => return Ok(Escaped::Set(chars::class(Class::Digit, ascii, true))),
            's' => return Ok(Escaped::Set(chars::class(Class::Space, ascii, false))),
            'S' => return Ok(Escaped::Set(chars::class(Class::Space, ascii, true))),
            'w' => return Ok(Escaped::Set(chars::class(Class::Word, ascii, false))),
            'W' => return Ok(Escaped::Set(chars::class(Class::Word, ascii, true))),
            'a' => '\u{7}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => self.hexadecimal(2, start)?,
            'u' => self.hexadecimal(4, start)?,
            'U' => self.hexadecimal(8, start)?,
            'N' => return Err(FilterError::Unsupported { construct: "a character by its name, `\\N{…}`" }),
            other if other.is_ascii_alphanumeric() => {
                return Err(self.invalid_at(start, format!("bad escape \\{other}")));
            }
            other => other,
        }))
    }

    /// Reads `\1` to `\99`, or a character in three octal digits.
    fn reference_or_octal(&mut self, first: char, flags: Flags, start: usize) -> Result<Node, FilterError> {
        let mut digits = String::from(first);
        digits.extend(self.peek().filter(char::is_ascii_digit));
        if digits.len() == 2 {
            self.next();
            if digits.chars().all(is_octal) && self.peek().is_some_and(is_octal) {
                digits.extend(self.next());
                let char = self.octal(&digits, start)?;
                return self.literal(char, flags);
            }
        }
        let group = digits.parse().unwrap_or(usize::MAX);
        self.reference(group, flags, (start + 1, start))
    }

    fn octal(&self, digits: &str, start: usize) -> Result<char, FilterError> {
        let is_byte = u32::from_str_radix(digits, 8).is_ok_and(|code| code <= MAX_OCTAL);
        if is_byte {
            self.char_of(digits, 8, start)
        } else {
            Err(self.invalid_at(start, format!("octal escape value \\{digits} outside of range 0-0o377")))
        }
    }

    fn hexadecimal(&mut self, length: usize, start: usize) -> Result<char, FilterError> {
        let digits = self.take_while(length, |char| char.is_ascii_hexdigit());
        if digits.len() < length {
            return Err(self.invalid_at(start, "incomplete escape"));
        }
        self.char_of(&digits, 16, start)
    }

    fn char_of(&self, digits: &str, radix: u32, start: usize) -> Result<char, FilterError> {
        match u32::from_str_radix(digits, radix) {
            Ok(code @ 0xd800..=0xdfff) => {
                debug_assert!(char::from_u32(code).is_none(), "only half of a surrogate pair is not a character");
                Err(FilterError::Unsupported { construct: "half of a surrogate pair, which no key has" })
            }
            Ok(code) => char::from_u32(code).ok_or_else(|| self.invalid_at(start, "bad escape")),
            Err(_) => Err(self.invalid_at(start, "bad escape")),
        }
    }
}

fn is_octal(char: char) -> bool {
    char.is_digit(8)
}
