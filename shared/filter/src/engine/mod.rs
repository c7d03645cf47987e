//! Two ways to match an expression at the start of a text, both with a limit on the work.
//!
//! With any filter of a tenant, a page of a thousand keys must be decided in about a second. So both engines count
//! their steps and stop at a limit.

mod automaton;
mod backtracking;
mod hir;
mod program;
mod walk;

pub(crate) use automaton::Automaton;
pub(crate) use backtracking::Backtracking;

/// Steps of one match before the key counts as undecided.
///
/// This many steps took 0.6 ms of processor time on keys of 1,024 bytes (a shared core of 2026, the mean of 14 filters
/// that are slow on purpose), so a page of 1,000 such keys takes at most about a second. Sensible expressions take a
/// few dozen steps per byte, and 50,000 for the longest key. With a lower limit, some of their keys would be undecided;
/// with a higher one, a filter that is slow on purpose would hold a slot longer than the quantum.
pub(crate) const MAX_STEPS: usize = 200_000;
