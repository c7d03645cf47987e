//! A compiled expression, with the engine that can match it.

use crate::engine::{Automaton, Backtracking};
use crate::error::{FilterError, MAX_PATTERN};
use crate::syntax::parse;

/// A compiled expression. Both engines count their steps: [`crate::engine::MAX_STEPS`].
#[derive(Debug)]
pub(crate) enum Pattern {
    /// Expressions that an automaton can match.
    Automaton(Box<Automaton>),
    /// Expressions with look-around, references and other constructs that need backtracking.
    Backtracking(Backtracking),
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// Python refuses the expression, Longshore does not support it, or it exceeds a limit.
    pub(crate) fn compile(pattern: &str) -> Result<Self, FilterError> {
        if pattern.len() > MAX_PATTERN {
            return Err(FilterError::TooLong);
        }
        let tree = parse(pattern)?;
        match Automaton::compile(&tree)? {
            Some(automaton) => Ok(Self::Automaton(Box::new(automaton))),
            None => Backtracking::compile(&tree).map(Self::Backtracking),
        }
    }

    /// Whether the expression matches at the start of the text; `None` if that takes too many steps.
    pub(crate) fn is_match(&self, text: &str) -> Option<bool> {
        match self {
            Self::Automaton(automaton) => automaton.is_match(text),
            Self::Backtracking(backtracking) => backtracking.is_match(text),
        }
    }
}
