//! Injected faults, and the record of calls.

use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Token,
    List,
    Get,
    Put,
    Delete,
    Head,
    /// A request with a signed URL.
    Signed,
}

/// A fault that a test injects.
#[derive(Debug, Clone)]
pub enum Fault {
    /// An error with this status, Google's reason, and `Retry-After` in seconds if given.
    Status(u16, &'static str, Option<u32>),
    /// The correct answer after a delay.
    Delay(Duration),
    /// Every token so far becomes invalid.
    Revoke,
    /// A proxy's own page, with status 200 and this content type.
    Page(&'static str, &'static str),
    /// The correct head of the answer with half of the body and a length to match.
    Half,
}

/// One recorded request.
#[derive(Debug, Clone)]
pub struct Call {
    pub op: Op,
    /// Path and query, byte for byte.
    pub target: String,
    pub status: u16,
    /// The authenticated account, if any.
    pub account: Option<String>,
}

#[derive(Default)]
pub(super) struct Rules {
    state: Mutex<RuleState>,
}

#[derive(Default)]
struct RuleState {
    faults: Vec<Rule>,
    calls: Vec<Call>,
}

struct Rule {
    op: Op,
    calls: RangeInclusive<usize>,
    seen: usize,
    fault: Fault,
}

impl Rules {
    fn state(&self) -> MutexGuard<'_, RuleState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, op: Op, calls: RangeInclusive<usize>, fault: Fault) {
        self.state().faults.push(Rule { op, calls, seen: 0, fault });
    }

    pub(super) fn clear(&self) {
        *self.state() = RuleState::default();
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    pub(super) fn record(&self, call: Call) {
        self.state().calls.push(call);
    }

    /// Counts a call, and returns its fault, if any.
    pub(super) fn next(&self, op: Op) -> Option<Fault> {
        let mut state = self.state();
        let mut found = None;
        for rule in state.faults.iter_mut().filter(|rule| rule.op == op) {
            rule.seen += 1;
            if found.is_none() && rule.calls.contains(&rule.seen) {
                found = Some(rule.fault.clone());
            }
        }
        found
    }
}
