//! Letters that count as the same where an expression ignores case.
//!
//! Python compares lower-case forms, and treats lower-case letters with the same upper-case form as the same letter. So
//! `i`, `I`, U+0130 and U+0131 are one letter in Python, but two in Unicode's case folding, which other libraries use.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Set;

/// The rule by which characters count as the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Only equal characters.
    Exact,
    /// Characters with the same lower-case form; with `ascii`, only ASCII letters.
    Ignored { ascii: bool },
}

/// No character from here on has two cases.
const LAST: char = '\u{1f000}';

/// All letters that count as the same as others, sorted, each with the set of letters that count as the same.
static SAME: LazyLock<Vec<(char, Set)>> = LazyLock::new(|| {
    let mut letters: HashMap<String, Vec<char>> = HashMap::new();
    for char in
        ('\0'..LAST).filter(|char| char.is_lowercase() || lower(*char) != *char || !char.to_uppercase().eq([*char]))
    {
        letters.entry(lower(char).to_uppercase().collect()).or_default().push(char);
    }
    let mut same = Vec::new();
    for letters in letters.into_values().filter(|letters| letters.len() > 1) {
        let ranges: Vec<(char, char)> = letters.iter().map(|letter| (*letter, *letter)).collect();
        let set = Set::of_ranges(&ranges);
        same.extend(letters.into_iter().map(|letter| (letter, set.clone())));
    }
    same.sort_unstable_by_key(|(letter, _)| *letter);
    same
});

/// The lower-case form of a character, as one character.
fn lower(char: char) -> char {
    let mut lower = char.to_lowercase();
    // Only U+0130 has a lower-case form of two characters. Python compares the first of them.
    lower.next().unwrap_or(char)
}

/// All letters that count as the same as this character; `None` if there is no other.
pub(crate) fn same_letters(char: char, case: Case) -> Option<Set> {
    match case {
        Case::Exact => None,
        Case::Ignored { ascii: true } => char.is_ascii_alphabetic().then(|| {
            let (lower, upper) = (char.to_ascii_lowercase(), char.to_ascii_uppercase());
            Set::of_ranges(&[(lower, lower), (upper, upper)])
        }),
        Case::Ignored { ascii: false } => {
            let at = SAME.binary_search_by_key(&char, |(letter, _)| *letter).ok()?;
            Some(SAME[at].1.clone())
        }
    }
}

/// Whether Python does not match a letter when it ignores case, against its own rule: it compares the lower-case form
/// of a text's character with the unchanged capital letter if that is beyond U+FFFF.
pub(crate) fn is_missed_by_python(char: char, case: Case) -> bool {
    case == (Case::Ignored { ascii: false }) && char > '\u{ffff}' && lower(char) != char
}

/// Whether two characters count as the same in a reference to a group: Python only compares lower-case forms there.
pub(crate) fn is_same(one: char, other: char, case: Case) -> bool {
    match case {
        Case::Exact => one == other,
        Case::Ignored { ascii: true } => one.eq_ignore_ascii_case(&other),
        Case::Ignored { ascii: false } => lower(one) == lower(other),
    }
}

impl Set {
    /// The set with all letters that count as the same as one of its letters.
    pub(crate) fn with_same_letters(self, case: Case) -> Self {
        let mut ranges = self.ranges().to_vec();
        match case {
            Case::Exact => return self,
            Case::Ignored { ascii: true } => {
                let letters = ('A'..='Z').chain('a'..='z').filter(|letter| self.contains(*letter));
                ranges.extend(
                    letters.filter_map(|letter| same_letters(letter, case)).flat_map(|set| set.ranges().to_vec()),
                );
            }
            Case::Ignored { ascii: false } => {
                for &(first, last) in self.ranges() {
                    let from = SAME.partition_point(|(letter, _)| *letter < first);
                    let letters = SAME[from..].iter().take_while(|(letter, _)| *letter <= last);
                    ranges.extend(letters.flat_map(|(_, set)| set.ranges().iter().copied()));
                }
            }
        }
        Self::of_ranges(&ranges)
    }
}
