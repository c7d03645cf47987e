//! Slots: capacity for attempts. The operator sets the number of regular slots; a few short ones are added.
//!
//! Large jobs may hold all regular slots for whole quanta. A small job need not wait for them: it gets a short slot,
//! which is enough for a page or two. If the job takes longer, it goes to the back of the queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Regular slots per short slot. An operator who sets fewer regular slots wants one job at a time, and gets no short
/// slot.
const SLOTS_PER_SHORT_ONE: u16 = 4;

/// How long a short slot lasts: the time of a page or two, because the next small job may wait for it.
const SHORT: Duration = Duration::from_millis(250);

/// The slots for the jobs of one queue. Clones share them.
#[derive(Clone)]
pub(crate) struct Slots {
    regular: Arc<Semaphore>,
    quantum: Duration,
    stop: CancellationToken,
}

/// The slot of an attempt, and how long the attempt may run.
pub(crate) struct Quantum {
    ends: Instant,
    stop: CancellationToken,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// Creates `count` regular slots of one quantum each. Cancelling `stop` ends all quanta.
    pub(crate) fn new(count: u16, quantum: Duration, stop: CancellationToken) -> Self {
        Self { regular: Arc::new(Semaphore::new(count.into())), quantum, stop }
    }

    /// How many attempts may run concurrently, including those in short slots.
    pub(crate) fn total(count: u16) -> u16 {
        count.saturating_add(count / SLOTS_PER_SHORT_ONE)
    }

    /// Takes a regular slot, or a short one if no regular one is free.
    pub(crate) fn take(&self) -> Quantum {
        let slot = Arc::clone(&self.regular).try_acquire_owned().ok();
        let length = if slot.is_some() { self.quantum } else { self.quantum.min(SHORT) };
        Quantum { ends: Instant::now() + length, stop: self.stop.clone(), _slot: slot }
    }
}

impl Quantum {
    /// Whether the attempt ends with its current page.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.is_cancelled() || Instant::now() >= self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_attempt_gets_a_short_slot_where_no_regular_one_is_free() {
        let slots = Slots::new(1, Duration::from_secs(600), CancellationToken::new());
        let (regular, short) = (slots.take(), slots.take());
        assert!(short.ends < regular.ends);
        drop(short);
        assert!(slots.take().ends < regular.ends, "its only regular slot is still taken");
        drop(regular);
        let (regular, short) = (slots.take(), slots.take());
        assert!(short.ends < regular.ends);
    }

    #[tokio::test]
    async fn a_stop_ends_every_quantum() {
        let stop = CancellationToken::new();
        let quantum = Slots::new(1, Duration::from_secs(600), stop.clone()).take();
        assert!(!quantum.is_over());
        stop.cancel();
        assert!(quantum.is_over());
    }

    #[test]
    fn few_slots_have_no_short_one_beside_them() {
        assert_eq!([1, 3, 4, 8].map(Slots::total), [1, 3, 5, 10]);
    }
}
