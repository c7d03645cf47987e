//! Matching of compiled expressions by trying one way after the other, as Python does, every step counted.

use fancy_regex::Assertion;

use super::program::{Class, Program, Step};
use super::{FilterError, MAX_STEPS};

/// An expression with look-around or back-references.
#[derive(Debug)]
pub(super) struct Backtracking(Program);

/// A way that was not tried yet, or what to undo before it is.
enum Later {
    Way { step: usize, at: usize },
    Undo { slot: usize, value: Option<usize> },
}

/// The steps are used up.
struct TooSlow;

struct Machine<'a> {
    program: &'a Program,
    text: &'a str,
    slots: Vec<Option<usize>>,
    later: Vec<Later>,
    left: usize,
}

impl Backtracking {
    /// # Errors
    /// It is no valid expression, uses what Python's have not, or compiles to too much.
    pub(super) fn compile(pattern: &str) -> Result<Self, FilterError> {
        Ok(Self(Program::compile(pattern)?))
    }

    /// Whether the expression matches at the start of the text, or `None` if that takes too many steps to say.
    pub(super) fn is_match(&self, text: &str) -> Option<bool> {
        let slots = vec![None; self.0.slots];
        let mut machine = Machine { program: &self.0, text, slots, later: Vec::new(), left: MAX_STEPS };
        machine.run(0, 0, None).ok().map(|end| end.is_some())
    }
}

impl Machine<'_> {
    /// Runs to the next [`Step::Done`], at `must_end` if given, and returns where that was. What it saved stays
    /// if it got there; ways that were left over are dropped.
    fn run(&mut self, step: usize, at: usize, must_end: Option<usize>) -> Result<Option<usize>, TooSlow> {
        let base = self.later.len();
        let (mut step, mut at) = (step, at);
        loop {
            self.left = self.left.checked_sub(1).ok_or(TooSlow)?;
            let went = match &self.program.steps[step] {
                Step::Done if must_end.is_none_or(|end| end == at) => {
                    self.keep(base);
                    return Ok(Some(at));
                }
                Step::Done => None,
                other => self.take(other, step, at)?,
            };
            match went {
                Some((next, position)) => (step, at) = (next, position),
                None => match self.back(base) {
                    Some((next, position)) => (step, at) = (next, position),
                    None => return Ok(None),
                },
            }
        }
    }

    /// Takes one step; `None` if it leads nowhere.
    fn take(&mut self, taken: &Step, step: usize, at: usize) -> Result<Option<(usize, usize)>, TooSlow> {
        let next = step + 1;
        Ok(match taken {
            Step::Char(char) => self.char_at(at).filter(|found| found == char).map(|c| (next, at + c.len_utf8())),
            Step::Class(class) => {
                self.char_at(at).filter(|found| contains(class, *found)).map(|c| (next, at + c.len_utf8()))
            }
            Step::Any { newline } => {
                self.char_at(at).filter(|found| *newline || *found != '\n').map(|c| (next, at + c.len_utf8()))
            }
            Step::Assert(assertion) => self.holds(*assertion, at).then_some((next, at)),
            Step::Split(first, second) => {
                self.later.push(Later::Way { step: *second, at });
                Some((*first, at))
            }
            Step::Jump(to) => Some((*to, at)),
            Step::Save(slot) => {
                self.save(*slot, Some(at));
                Some((next, at))
            }
            Step::Moved(slot) => (self.slots[*slot] != Some(at)).then_some((next, at)),
            Step::Backref { group, any_case } => self.repeats(*group, *any_case, at)?.map(|end| (next, end)),
            Step::IfGroup { group, otherwise } => {
                Some((if self.slots[2 * group + 1].is_some() { next } else { *otherwise }, at))
            }
            Step::Atomic { end } => self.run(next, at, None)?.map(|position| (*end, position)),
            Step::Look { behind, negative, end } => {
                let undo = self.later.len();
                let found = match behind {
                    None => self.run(next, at, None)?.is_some(),
                    Some(longest) => self.ends_here(next, at, *longest)?,
                };
                if *negative && found {
                    self.back(undo);
                }
                (found != *negative).then_some((*end, at))
            }
            Step::Done => None,
        })
    }

    /// Whether a look-behind matches from some place before and ends here.
    fn ends_here(&mut self, step: usize, at: usize, longest: usize) -> Result<bool, TooSlow> {
        let text = self.text;
        let starts = text[..at].char_indices().rev().map(|(start, _)| start);
        for start in std::iter::once(at).chain(starts).take(longest.saturating_add(1)) {
            if self.run(step, start, Some(at))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn save(&mut self, slot: usize, value: Option<usize>) {
        let value = std::mem::replace(&mut self.slots[slot], value);
        self.later.push(Later::Undo { slot, value });
    }

    /// Goes back to the last way that was not tried, undoing what was saved since.
    fn back(&mut self, base: usize) -> Option<(usize, usize)> {
        while self.later.len() > base {
            match self.later.pop()? {
                Later::Way { step, at } => return Some((step, at)),
                Later::Undo { slot, value } => self.slots[slot] = value,
            }
        }
        None
    }

    /// Drops the ways since `base`, but not what to undo.
    fn keep(&mut self, base: usize) {
        let mut kept = base;
        for index in base..self.later.len() {
            if matches!(self.later[index], Later::Undo { .. }) {
                self.later.swap(kept, index);
                kept += 1;
            }
        }
        self.later.truncate(kept);
    }

    /// Where a repetition of a group's text ends, if it is there.
    fn repeats(&mut self, group: usize, any_case: bool, at: usize) -> Result<Option<usize>, TooSlow> {
        let (Some(start), Some(end)) = (self.slots[2 * group], self.slots[2 * group + 1]) else { return Ok(None) };
        let text = self.text;
        let Some(group) = text.get(start..end) else { return Ok(None) };
        self.left = self.left.checked_sub(group.len() / 16).ok_or(TooSlow)?;
        if text[at..].starts_with(group) {
            return Ok(Some(at + group.len()));
        }
        if !any_case {
            return Ok(None);
        }
        self.left = self.left.checked_sub(group.len()).ok_or(TooSlow)?;
        let mut rest = text[at..].chars();
        let equal = |(one, other): (char, char)| one == other || one.to_lowercase().eq(other.to_lowercase());
        let repeated = group.chars().all(|char| rest.next().is_some_and(|other| equal((char, other))));
        Ok(repeated.then(|| text.len() - rest.as_str().len()))
    }

    fn char_at(&self, at: usize) -> Option<char> {
        self.text[at..].chars().next()
    }

    fn holds(&self, assertion: Assertion, at: usize) -> bool {
        let (before, after) = (self.text[..at].chars().next_back(), self.char_at(at));
        let (left, right) = (before.is_some_and(is_word), after.is_some_and(is_word));
        match assertion {
            Assertion::StartText => at == 0,
            Assertion::EndText => at == self.text.len(),
            Assertion::EndTextIgnoreTrailingNewlines { .. } => self.text[at..].chars().all(|char| char == '\n'),
            Assertion::StartLine { .. } | Assertion::StartLineOniguruma { .. } => before.is_none_or(|c| c == '\n'),
            Assertion::EndLine { .. } => after.is_none_or(|char| char == '\n'),
            Assertion::LeftWordBoundary => !left && right,
            Assertion::LeftWordHalfBoundary => !left,
            Assertion::RightWordBoundary => left && !right,
            Assertion::RightWordHalfBoundary => !right,
            Assertion::WordBoundary => left != right,
            Assertion::NotWordBoundary => left == right,
        }
    }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

fn contains(class: &Class, char: char) -> bool {
    let at = class.partition_point(|(_, last)| *last < char);
    class.get(at).is_some_and(|(first, _)| *first <= char)
}
