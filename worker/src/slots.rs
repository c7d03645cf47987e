//! Slots: capacity for attempts. As many regular ones as the operator says, and a few short ones.
//!
//! Large jobs hold every regular slot for whole quanta, and a small job would wait for one of them to end. It gets a short
//! slot instead: enough for a few pages, then the job goes to the back of the queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Regular slots per short one. An operator who sets fewer wants one job at a time.
const SLOTS_PER_SHORT_ONE: u16 = 4;

/// How long a short slot lasts: a page or two, so that the next job waits no longer than that.
const SHORT: Duration = Duration::from_millis(250);

/// The slots for the jobs of one queue. Clones share them.
#[derive(Clone)]
pub(crate) struct Slots {
    regular: Arc<Semaphore>,
    quantum: Duration,
    stop: CancellationToken,
}

/// How long an attempt may run, and its slot.
pub(crate) struct Quantum {
    ends: Instant,
    stop: CancellationToken,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// `count` regular slots of one quantum each. Once `stop` is cancelled, all quanta are over.
    pub(crate) fn new(count: u16, quantum: Duration, stop: CancellationToken) -> Self {
        Self { regular: Arc::new(Semaphore::new(count.into())), quantum, stop }
    }

    /// How many attempts may run at once, those in short slots included.
    pub(crate) fn total(count: u16) -> u16 {
        count.saturating_add(count / SLOTS_PER_SHORT_ONE)
    }

    /// Takes a slot, a short one if no regular one is free.
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
