//! Sets of characters, as in Python's `re`.
//!
//! They differ from those of other libraries: in Python, a combining mark is not part of a word, and U+001C to U+001F
//! are white space. A version of Python does not know letters of later versions of Unicode.

mod letters;

use std::sync::{Arc, LazyLock};

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

pub(crate) use letters::{Case, is_missed_by_python, is_same, same_letters};

/// Characters as sorted ranges. Clones share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set(Arc<[(char, char)]>);

/// A class of characters that an escape names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// `\d`
    Digit,
    /// `\s`
    Space,
    /// `\w`
    Word,
}

/// White space beyond ASCII, as of `str.isspace()`.
const SPACES: &[(char, char)] = &[
    ('\t', '\r'),
    ('\u{1c}', ' '),
    ('\u{85}', '\u{85}'),
    ('\u{a0}', '\u{a0}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{2000}', '\u{200a}'),
    ('\u{2028}', '\u{2029}'),
    ('\u{202f}', '\u{202f}'),
    ('\u{205f}', '\u{205f}'),
    ('\u{3000}', '\u{3000}'),
];

/// The classes, each followed by its negation: first those of Unicode, then those of ASCII.
static CLASSES: LazyLock<Vec<Set>> = LazyLock::new(|| {
    let unicode = |text: &str| match regex_syntax::parse(text).map(regex_syntax::hir::Hir::into_kind) {
        Ok(regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class))) => Set::of(&class),
        other => unreachable!("{text} is a class: {other:?}"),
    };
    let positive = [
        unicode(r"\p{Nd}"),
        Set::of_ranges(SPACES),
        unicode(r"[\p{L}\p{N}_]"),
        Set::of_ranges(&[('0', '9')]),
        Set::of_ranges(&[('\t', '\r'), (' ', ' ')]),
        Set::of_ranges(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
    ];
    positive.into_iter().flat_map(|set| [set.clone(), set.negated()]).collect()
});

static ANY: LazyLock<Set> = LazyLock::new(|| Set::of_ranges(&[('\0', char::MAX)]));
static ANY_BUT_LINE_FEED: LazyLock<Set> = LazyLock::new(|| Set::of_ranges(&[('\n', '\n')]).negated());

/// The characters of a class; with `negative`, all other characters.
pub(crate) fn class(class: Class, ascii: bool, negative: bool) -> Set {
    let at = match class {
        Class::Digit => 0,
        Class::Space => 2,
        Class::Word => 4,
    };
    CLASSES[at + 6 * usize::from(ascii) + usize::from(negative)].clone()
}

/// Every character.
pub(crate) fn any() -> Set {
    ANY.clone()
}

/// The characters that `.` matches.
pub(crate) fn any_but_line_feed() -> Set {
    ANY_BUT_LINE_FEED.clone()
}

/// Whether a character is part of a word for `\b`.
pub(crate) fn is_word(char: char, ascii: bool) -> bool {
    if char.is_ascii() { char.is_ascii_alphanumeric() || char == '_' } else { !ascii && CLASSES[4].contains(char) }
}

impl Set {
    fn of(class: &ClassUnicode) -> Self {
        Self(class.iter().map(|range| (range.start(), range.end())).collect())
    }

    /// The characters of ranges, which may be in any order and overlap.
    pub(crate) fn of_ranges(ranges: &[(char, char)]) -> Self {
        Self::of(&class_of(ranges))
    }

    /// Its ranges, sorted and without overlaps.
    pub(crate) fn ranges(&self) -> &[(char, char)] {
        &self.0
    }

    /// The same set for the automaton's compiler.
    pub(crate) fn to_class(&self) -> ClassUnicode {
        class_of(&self.0)
    }

    /// All other characters.
    pub(crate) fn negated(&self) -> Self {
        let mut class = self.to_class();
        class.negate();
        Self::of(&class)
    }

    /// The set with the characters of other sets.
    pub(crate) fn united(self, others: &[Self]) -> Self {
        if others.is_empty() {
            return self;
        }
        let mut class = self.to_class();
        others.iter().for_each(|other| class.union(&other.to_class()));
        Self::of(&class)
    }

    /// Whether the set contains a character.
    pub(crate) fn contains(&self, char: char) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < char);
        self.0.get(at).is_some_and(|(first, _)| *first <= char)
    }
}

fn class_of(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|&(first, last)| ClassUnicodeRange::new(first, last)))
}
