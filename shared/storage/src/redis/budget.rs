//! How much a server may send: no more than the answers to the commands in flight may have.
//!
//! The library reads an answer as the server announces it, and keeps each element of an array in memory many times its
//! size. So a hostile server could announce any length, or send small elements without end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most that the answers to some commands have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AnswerSize {
    pub(super) bytes: u64,
    /// Strings, numbers, errors and arrays, at any depth.
    pub(super) elements: u64,
}

impl AnswerSize {
    /// Bytes of the longest number, word or error of a command, with room for the message of an error.
    const LINE: u64 = 1024;

    /// One string of at most this many bytes for each of some commands, or an error instead.
    pub(super) fn strings(commands: usize, bytes: u64) -> Self {
        let commands = commands as u64;
        Self { bytes: commands.saturating_mul(bytes.saturating_add(Self::LINE)), elements: commands }
    }

    /// A number, a word or an error for each of some commands.
    pub(super) fn lines(commands: usize) -> Self {
        Self::strings(commands, 0)
    }
}

/// The budget of a connection.
pub(super) struct AnswerBudget {
    state: Mutex<State>,
    is_exceeded: AtomicBool,
}

struct State {
    left: Amount,
    in_flight: Amount,
}

#[derive(Default, Clone, Copy)]
struct Amount {
    bytes: u64,
    elements: u64,
}

/// Commands whose answers have not come. If it is dropped before [`ExpectedAnswers::have_come`], they may still come.
pub(super) struct ExpectedAnswers {
    budget: Arc<AnswerBudget>,
    size: AnswerSize,
}

impl Default for AnswerBudget {
    /// Allows one line: a server that has too many clients says so before it is asked.
    fn default() -> Self {
        Self::with(AnswerSize::lines(1))
    }
}

impl AnswerBudget {
    fn with(left: AnswerSize) -> Self {
        let left = Amount { bytes: left.bytes, elements: left.elements };
        let state = State { left, in_flight: Amount::default() };
        Self { state: Mutex::new(state), is_exceeded: AtomicBool::new(false) }
    }

    /// Allows the answers to commands that are sent now.
    pub(super) fn expect(self: &Arc<Self>, size: AnswerSize) -> ExpectedAnswers {
        let mut state = self.lock();
        let State { left, in_flight } = &mut *state;
        for amount in [left, in_flight] {
            amount.bytes = amount.bytes.saturating_add(size.bytes);
            amount.elements = amount.elements.saturating_add(size.elements);
        }
        drop(state);
        ExpectedAnswers { budget: Arc::clone(self), size }
    }

    /// Takes what the server sends. False if it is more than all answers may have.
    pub(super) fn take(&self, bytes: u64, elements: u64) -> bool {
        let mut state = self.lock();
        let left = (state.left.bytes.checked_sub(bytes), state.left.elements.checked_sub(elements));
        let (Some(bytes), Some(elements)) = left else { return false };
        state.left = Amount { bytes, elements };
        true
    }

    /// Whether an announced string of this many bytes, or array of this many elements, can still come.
    pub(super) fn allows(&self, bytes: u64, elements: u64) -> bool {
        let left = self.lock().left;
        bytes <= left.bytes && elements <= left.elements
    }

    /// Records that the server sent, or announced, what is no answer to the commands in flight.
    pub(super) fn mark_exceeded(&self) {
        self.is_exceeded.store(true, Ordering::Relaxed);
    }

    /// Whether the server sent, or announced, what is no answer to the commands in flight.
    pub(super) fn is_exceeded(&self) -> bool {
        self.is_exceeded.load(Ordering::Relaxed)
    }

    /// Poisoning is harmless: no statement leaves the state half-updated.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ExpectedAnswers {
    /// Takes back what the answers did not need. The other commands in flight keep what theirs may need.
    pub(super) fn have_come(self) {
        let mut state = self.budget.lock();
        let State { left, in_flight } = &mut *state;
        in_flight.bytes = in_flight.bytes.saturating_sub(self.size.bytes);
        in_flight.elements = in_flight.elements.saturating_sub(self.size.elements);
        left.bytes = left.bytes.min(in_flight.bytes);
        left.elements = left.elements.min(in_flight.elements);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(bytes: u64, elements: u64) -> AnswerSize {
        AnswerSize { bytes, elements }
    }

    #[test]
    fn a_server_may_send_what_the_commands_in_flight_allow_and_no_more() {
        let budget = Arc::new(AnswerBudget::with(size(0, 0)));
        let (first, second) = (budget.expect(size(10, 1)), budget.expect(size(100, 2)));
        assert!(budget.take(5, 1));
        first.have_come();
        assert!(budget.take(100, 2), "the second may need all of its part");
        second.have_come();
        assert!(!budget.take(1, 0), "nothing was asked");
    }

    #[test]
    fn unused_parts_do_not_add_up() {
        let budget = Arc::new(AnswerBudget::with(size(0, 0)));
        for _ in 0..100 {
            let answers = budget.expect(size(1_000, 10));
            assert!(budget.take(1, 1));
            answers.have_come();
        }
        let _answers = budget.expect(size(1_000, 10));
        assert!(budget.allows(1_000, 10) && !budget.allows(1_001, 0) && !budget.allows(0, 11));
    }
}
