//! Letters that count as the same where an expression ignores case.
//!
//! Python compares lower cases, and takes lower-case letters with the same upper case for the same: `i`, `I`, U+0130 and
//! U+0131 are one letter to it, where Unicode's case folding, which other libraries use, has two.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Set;

/// Which characters count as the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Only themselves.
    Exact,
    /// Those with the same lower case; of ASCII letters alone if `ascii`.
    Ignored { ascii: bool },
}

/// The end of the planes with letters of two cases.
const LAST: char = '\u{1f000}';

/// Letters that have others like them, sorted, each with the set of all that are the same.
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

/// The lower case of a character, if that is one character.
fn lower(char: char) -> char {
    let mut lower = char.to_lowercase();
    // Of U+0130 alone the lower case is two characters; Python compares it as the first of them.
    lower.next().unwrap_or(char)
}

/// All letters that count as the same as this character, if there are others.
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

/// Whether Python does not find a letter without regard to case, against its own rule: it compares the lower case of a
/// text's character with a capital letter beyond U+FFFF as it is.
pub(crate) fn is_missed_by_python(char: char, case: Case) -> bool {
    case == (Case::Ignored { ascii: false }) && char > '\u{ffff}' && lower(char) != char
}

/// Whether two characters count as the same where a group is referred to: only lower cases are compared there.
pub(crate) fn is_same(one: char, other: char, case: Case) -> bool {
    match case {
        Case::Exact => one == other,
        Case::Ignored { ascii: true } => one.eq_ignore_ascii_case(&other),
        Case::Ignored { ascii: false } => lower(one) == lower(other),
    }
}

impl Set {
    /// With all letters that count as the same as one of it.
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
