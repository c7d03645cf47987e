//! Python's regular expressions, read into a tree.
//!
//! The reader follows Python's own (`re/_parser.py`) rule by rule instead of translating the text for another library:
//! between two grammars every rule that one lacks would silently select other keys. What differs between the versions
//! of Python 3.9 to 3.13 is read as in the newest.

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
    /// One after the other.
    Concat(Vec<Node>),
    /// The first that works.
    Alternatives(Vec<Node>),
    /// A group; those with an index, counted from 1, remember what they matched.
    Group { index: Option<usize>, inner: Box<Node> },
    /// `least` to `most` times; `None` is any number.
    Repeat { inner: Box<Node>, least: u32, most: Option<u32>, mode: Mode },
    /// A condition on the position.
    Assert(Assertion),
    /// Whether `inner` matches from here on or, `behind` by this many characters, up to here.
    Look { inner: Box<Node>, behind: Option<usize>, negative: bool },
    /// What `inner` matches first, and nothing else.
    Atomic(Box<Node>),
    /// The text of a group once more.
    Reference { group: usize, case: Case },
    /// `yes` if the group has matched, otherwise `no`.
    IfGroup { group: usize, yes: Box<Node>, no: Box<Node> },
}

/// Which number of repetitions is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The largest.
    Greedy,
    /// The smallest.
    Lazy,
    /// The largest, and no other.
    Possessive,
}

/// A condition on a position in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assertion {
    /// The start of the text.
    Start,
    /// The start of the text or of a line.
    StartLine,
    /// The very end of the text: `\Z`.
    End,
    /// The end of the text, or before the line feed that ends it: `$`.
    EndOrLastLineFeed,
    /// The end of the text or of a line: `$` with the flag `m`.
    EndLine,
    /// A word begins or ends here; negative, none does.
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
