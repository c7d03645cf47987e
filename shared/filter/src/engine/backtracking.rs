//! Matches compiled expressions by backtracking: it tries one way after another, as Python does, and counts all steps.

use super::MAX_STEPS;
use super::program::{Program, Step};
use crate::chars::{Case, is_same, is_word};
use crate::error::FilterError;
use crate::syntax::{Assertion, Node};

/// An expression that needs backtracking, such as one with look-around or references.
#[derive(Debug)]
pub(crate) struct Backtracking(Program);

/// An untried way, or a saved value to restore before an untried way is taken.
enum StackEntry {
    Way { step: usize, at: usize },
    Undo { slot: usize, value: Option<usize> },
}

/// The limit on steps is reached.
struct TooSlow;

struct Machine<'a> {
    program: &'a Program,
    text: &'a str,
    slots: Vec<Option<usize>>,
    later: Vec<StackEntry>,
    left: usize,
}

impl Backtracking {
    /// Compiles an expression.
    ///
    /// # Errors
    /// The program is too large.
    pub(crate) fn compile(tree: &Node) -> Result<Self, FilterError> {
        Ok(Self(Program::compile(tree)?))
    }

    /// Whether the expression matches at the start of the text; `None` if that takes too many steps.
    pub(crate) fn is_match(&self, text: &str) -> Option<bool> {
        let slots = vec![None; self.0.slots];
        let mut machine = Machine { program: &self.0, text, slots, later: Vec::new(), left: MAX_STEPS };
        machine.run(0, 0, None).ok().map(|end| end.is_some())
    }
}

impl Machine<'_> {
    /// Runs to the next [`Step::Done`], at the position `must_end` if given, and returns the position. On success,
    /// saved values stay and untried ways are dropped.
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

    /// Takes one step; `None` if it does not match.
    fn take(&mut self, taken: &Step, step: usize, at: usize) -> Result<Option<(usize, usize)>, TooSlow> {
        let next = step + 1;
        Ok(match taken {
            Step::Char(char) => self.char_at(at).filter(|found| found == char).map(|c| (next, at + c.len_utf8())),
            Step::Set(set) => self.char_at(at).filter(|found| set.contains(*found)).map(|c| (next, at + c.len_utf8())),
            Step::Assert(assertion) => self.holds(*assertion, at).then_some((next, at)),
            Step::Split(first, second) => {
                self.later.push(StackEntry::Way { step: *second, at });
                Some((*first, at))
            }
            Step::Jump(to) => Some((*to, at)),
            Step::Save(slot) => {
                self.save(*slot, Some(at));
                Some((next, at))
            }
            Step::IfMoved { slot, otherwise } => {
                Some((if self.slots[*slot] != Some(at) { next } else { *otherwise }, at))
            }
            Step::Reference { group, case } => self.repeats(*group, *case, at)?.map(|end| (next, end)),
            Step::IfGroup { group, otherwise } => {
                Some((if self.group(*group).is_some() { next } else { *otherwise }, at))
            }
            Step::Atomic { end } => self.run(next, at, None)?.map(|position| (*end, position)),
            Step::Look { behind, negative, end } => {
                let undo = self.later.len();
                let found = match behind {
                    None => self.run(next, at, None)?.is_some(),
                    Some(width) => match self.before(at, *width)? {
                        Some(start) => self.run(next, start, Some(at))?.is_some(),
                        None => false,
                    },
                };
                if *negative && found {
                    self.back(undo);
                }
                (found != *negative).then_some((*end, at))
            }
            Step::Done => None,
        })
    }

    /// The position `width` characters before `at`; `None` if there are fewer characters.
    fn before(&mut self, at: usize, width: usize) -> Result<Option<usize>, TooSlow> {
        self.left = self.left.checked_sub(width.min(at) / 16).ok_or(TooSlow)?;
        match width.checked_sub(1) {
            None => Ok(Some(at)),
            Some(nth) => Ok(self.text[..at].char_indices().rev().nth(nth).map(|(start, _)| start)),
        }
    }

    fn save(&mut self, slot: usize, value: Option<usize>) {
        let value = std::mem::replace(&mut self.slots[slot], value);
        self.later.push(StackEntry::Undo { slot, value });
    }

    /// Goes back to the last untried way and restores the values that were saved since then.
    fn back(&mut self, base: usize) -> Option<(usize, usize)> {
        while self.later.len() > base {
            match self.later.pop()? {
                StackEntry::Way { step, at } => return Some((step, at)),
                StackEntry::Undo { slot, value } => self.slots[slot] = value,
            }
        }
        None
    }

    /// Drops the untried ways since `base`, but keeps the values to restore.
    fn keep(&mut self, base: usize) {
        let mut kept = base;
        for index in base..self.later.len() {
            if matches!(self.later[index], StackEntry::Undo { .. }) {
                self.later.swap(kept, index);
                kept += 1;
            }
        }
        self.later.truncate(kept);
    }

    /// The text that a group matched. If a loop began the group again and did not end it, it has matched nothing.
    fn group(&self, group: usize) -> Option<&str> {
        self.text.get(self.slots[2 * group]?..self.slots[2 * group + 1]?)
    }

    /// The end of a repetition of a group's text at this position; `None` if the text differs.
    fn repeats(&mut self, group: usize, case: Case, at: usize) -> Result<Option<usize>, TooSlow> {
        let Some(length) = self.group(group).map(str::len) else { return Ok(None) };
        let cost = if case == Case::Exact { length / 16 } else { length };
        self.left = self.left.checked_sub(cost).ok_or(TooSlow)?;
        let Some(group) = self.group(group) else { return Ok(None) };
        if case == Case::Exact {
            return Ok(self.text[at..].starts_with(group).then_some(at + length));
        }
        let mut rest = self.text[at..].chars();
        let repeated = group.chars().all(|char| rest.next().is_some_and(|other| is_same(char, other, case)));
        Ok(repeated.then(|| self.text.len() - rest.as_str().len()))
    }

    fn char_at(&self, at: usize) -> Option<char> {
        self.text[at..].chars().next()
    }

    fn holds(&self, assertion: Assertion, at: usize) -> bool {
        let (before, after) = (self.text[..at].chars().next_back(), self.char_at(at));
        match assertion {
            Assertion::Start => at == 0,
            Assertion::StartLine => before.is_none_or(|char| char == '\n'),
            Assertion::End => after.is_none(),
            Assertion::EndOrLastLineFeed => matches!(&self.text[at..], "" | "\n"),
            Assertion::EndLine => after.is_none_or(|char| char == '\n'),
            Assertion::Word { ascii, negative } => {
                let is_word = |char: Option<char>| char.is_some_and(|char| is_word(char, ascii));
                (is_word(before) != is_word(after)) != negative
            }
        }
    }
}
