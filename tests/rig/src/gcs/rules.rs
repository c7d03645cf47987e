//! What to do to which calls, and which there were.

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
    /// A request by a signed URL.
    Signed,
}

/// What happens in an answer's place.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This status, with Google's reason and perhaps a wait in seconds.
    Status(u16, &'static str, Option<u32>),
    /// The right answer, later.
    Delay(Duration),
    /// Every token that was handed out so far is void from now on.
    Revoke,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
    pub op: Op,
    /// Path and query, byte for byte.
    pub target: String,
    pub status: u16,
    /// Who asked, as far as that was proved.
    pub account: Option<String>,
}

#[derive(Default)]
pub(super) struct Rules {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
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
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, op: Op, calls: RangeInclusive<usize>, fault: Fault) {
        self.held().faults.push(Rule { op, calls, seen: 0, fault });
    }

    pub(super) fn clear(&self) {
        *self.held() = Held::default();
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.held().calls.clone()
    }

    pub(super) fn record(&self, call: Call) {
        self.held().calls.push(call);
    }

    /// Counts a call, and gives what is to happen to it.
    pub(super) fn next(&self, op: Op) -> Option<Fault> {
        let mut held = self.held();
        let mut found = None;
        for rule in held.faults.iter_mut().filter(|rule| rule.op == op) {
            rule.seen += 1;
            if found.is_none() && rule.calls.contains(&rule.seen) {
                found = Some(rule.fault.clone());
            }
        }
        found
    }
}
