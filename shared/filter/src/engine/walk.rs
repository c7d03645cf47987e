//! Walks an NFA and counts all steps.

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::look::Look;
use regex_automata::util::primitives::StateID;

use super::MAX_STEPS;
use crate::chars::is_word;

/// Walks all paths of an NFA in parallel, byte by byte. Returns whether it matches at the start of the text; `None` if
/// that takes too many steps.
pub(super) fn walk(nfa: &NFA, text: &str) -> Option<bool> {
    let mut walk = Walk { nfa, text, seen: vec![0; nfa.states().len()], open: Vec::new(), steps: 0 };
    let (mut now, mut next) = (Vec::new(), Vec::new());
    if walk.enter(nfa.start_anchored(), 0, &mut now)? {
        return Some(true);
    }
    for (at, &byte) in text.as_bytes().iter().enumerate() {
        for &state in &now {
            if let Some(to) = walk.follow(state, byte)?
                && walk.enter(to, at + 1, &mut next)?
            {
                return Some(true);
            }
        }
        now.clear();
        std::mem::swap(&mut now, &mut next);
        if now.is_empty() {
            break;
        }
    }
    Some(false)
}

/// The work on one text.
struct Walk<'a> {
    nfa: &'a NFA,
    text: &'a str,
    /// For each state, the offset at which it was last entered, counted from 1; 0 if never.
    seen: Vec<usize>,
    open: Vec<StateID>,
    steps: usize,
}

impl Walk<'_> {
    /// Counts steps; `None` once the limit is reached.
    fn count(&mut self, steps: usize) -> Option<()> {
        self.steps += steps;
        (self.steps <= MAX_STEPS).then_some(())
    }

    /// Enters a state and all states that follow it without a byte. Returns whether the expression has matched.
    fn enter(&mut self, state: StateID, at: usize, states: &mut Vec<StateID>) -> Option<bool> {
        self.open.push(state);
        while let Some(id) = self.open.pop() {
            self.count(1)?;
            if std::mem::replace(&mut self.seen[id.as_usize()], at + 1) == at + 1 {
                continue;
            }
            match self.nfa.state(id) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => states.push(id),
                State::Look { look, next } => {
                    if self.holds(*look, at) {
                        self.open.push(*next);
                    }
                }
                State::Union { alternates } => {
                    self.count(alternates.len())?;
                    self.open.extend(alternates.iter().copied());
                }
                State::BinaryUnion { alt1, alt2 } => self.open.extend([*alt1, *alt2]),
                State::Capture { next, .. } => self.open.push(*next),
                State::Fail => {}
                State::Match { .. } => return Some(true),
            }
        }
        Some(false)
    }

    /// Whether a condition on a position holds. Words are those of Python, not of the automaton library.
    fn holds(&self, look: Look, at: usize) -> bool {
        match look {
            Look::WordUnicode => self.is_word_edge(at),
            Look::WordUnicodeNegate => !self.is_word_edge(at),
            other => self.nfa.look_matcher().matches(other, self.text.as_bytes(), at),
        }
    }

    fn is_word_edge(&self, at: usize) -> bool {
        let (before, after) = (self.text.get(..at).unwrap_or_default(), self.text.get(at..).unwrap_or_default());
        let is_word = |char: Option<char>| char.is_some_and(|char| is_word(char, false));
        is_word(before.chars().next_back()) != is_word(after.chars().next())
    }

    /// The state to which a byte leads from a state.
    fn follow(&mut self, state: StateID, byte: u8) -> Option<Option<StateID>> {
        self.count(1)?;
        Some(match self.nfa.state(state) {
            State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
            State::Sparse(transitions) => {
                self.count(transitions.transitions.len() / 8)?;
                transitions.matches_byte(byte)
            }
            State::Dense(transitions) => transitions.matches_byte(byte),
            State::Look { .. }
            | State::Union { .. }
            | State::BinaryUnion { .. }
            | State::Capture { .. }
            | State::Fail
            | State::Match { .. } => None,
        })
    }
}
