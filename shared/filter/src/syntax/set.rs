//! Sets of characters: `[…]`.
//!
//! Python has no nested sets and no set operators: `[a&&b]` has the characters `a`, `&` and `b`.

use super::escape::Escaped;
use super::parser::{Parser, RARE_CAPITALS};
use super::{Flags, Node};
use crate::chars::{self, Case, Set};
use crate::error::FilterError;

impl Parser {
    /// Reads a set after its opening bracket.
    pub(super) fn set(&mut self, flags: Flags) -> Result<Node, FilterError> {
        let start = self.position() - 1;
        let negative = self.eat('^');
        let (mut ranges, mut classes) = (Vec::new(), Vec::new());
        loop {
            let is_first = ranges.is_empty() && classes.is_empty();
            let item = self.position();
            let first = match self.next() {
                Some(']') if !is_first => break,
                Some('\\') => self.set_escape(flags)?,
                Some(char) => Escaped::Char(char),
                None => return Err(self.invalid_at(start, "unterminated character set")),
            };
            if !self.eat('-') {
                match first {
                    Escaped::Char(char) => ranges.push((char, char)),
                    Escaped::Set(set) => classes.push(set),
                }
                continue;
            }
            let last = match self.next() {
                None => return Err(self.invalid_at(start, "unterminated character set")),
                Some(']') => {
                    match first {
                        Escaped::Char(char) => ranges.push((char, char)),
                        Escaped::Set(set) => classes.push(set),
                    }
                    ranges.push(('-', '-'));
                    break;
                }
                Some('\\') => self.set_escape(flags)?,
                Some(char) => Escaped::Char(char),
            };
            match (first, last) {
                (Escaped::Char(first), Escaped::Char(last)) if first <= last => ranges.push((first, last)),
                _ => return Err(self.invalid_at(item, "bad character range")),
            }
        }
        let set = united(&ranges, &classes, flags.case())?;
        Ok(Node::Set(self.counted(if negative { set.negated() } else { set })?))
    }
}

/// The characters of ranges and classes. If case is ignored, ranges also contain the other letters that count as the
/// same. Classes do not need that: Python looks up the lower-case form of a character in them, which gives the same
/// answer.
fn united(ranges: &[(char, char)], classes: &[Set], case: Case) -> Result<Set, FilterError> {
    if ranges.iter().any(|&(first, last)| first == last && chars::is_missed_by_python(first, case)) {
        return Err(RARE_CAPITALS);
    }
    Ok(Set::of_ranges(ranges).with_same_letters(case).united(classes))
}
