//! Reads Python's regular expressions into a tree.
//!
//! The reader follows Python's own (`re/_parser.py`) rule by rule. It does not translate the text for another library,
//! because each difference between the two grammars could silently select other keys. Where Python 3.9 to 3.13 differ,
//! it follows the newest.

mod escape;
mod group;
mod parser;
mod set;
mod width;

use crate::chars::{Case, Set};

pub(crate) use parser::parse;

/// An expression or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// Matches the empty text.
    Empty,
    /// This character.
    Char(char),
    /// One character of a set.
    Set(Set),
    /// All of them in order.
    Concat(Vec<Node>),
    /// The first one that matches.
    Alternatives(Vec<Node>),
    /// A group. One with an index, counted from 1, captures the text that it matches.
    Group { index: Option<usize>, inner: Box<Node> },
    /// `least` to `most` times; `None` means any number.
    Repeat { inner: Box<Node>, least: u32, most: Option<u32>, mode: Mode },
    /// A condition on the position.
    Assert(Assertion),
    /// Whether `inner` matches from here on or, with `behind`, from this many characters before up to here.
    Look { inner: Box<Node>, behind: Option<usize>, negative: bool },
    /// `inner` in the first way that matches, and in no other.
    Atomic(Box<Node>),
    /// The text of a group again.
    Reference { group: usize, case: Case },
    /// `yes` if the group has matched, otherwise `no`.
    IfGroup { group: usize, yes: Box<Node>, no: Box<Node> },
}

/// The number of repetitions that is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The largest.
    Greedy,
    /// The smallest.
    Lazy,
    /// Only the largest.
    Possessive,
}

/// A condition on a position in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assertion {
    /// The start of the text.
    Start,
    /// The start of the text or of a line.
    StartLine,
    /// The end of the text: `\Z`.
    End,
    /// The end of the text, or before the line feed that ends it: `$`.
    EndOrLastLineFeed,
    /// The end of the text or of a line: `$` with the flag `m`.
    EndLine,
    /// The start or end of a word; with `negative`, any other position.
    Word { ascii: bool, negative: bool },
}

/// The flags that apply to a part of an expression.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Flags {
    ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
    ascii: bool,
    verbose: bool,
}

impl Flags {
    fn case(self) -> Case {
        if self.ignore_case { Case::Ignored { ascii: self.ascii } } else { Case::Exact }
    }
}
