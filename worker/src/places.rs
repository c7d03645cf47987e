//! Places for attempts: as many as the operator says, and a few in which nobody stays.
//!
//! Giants hold every place for whole quanta, and a small job would wait for one of them to end. It gets
//! a place in passing instead: enough for a few pages, then the job goes to the back of the queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One place in passing for so many others. With fewer places an operator wants one job at a time.
const PLACES_PER_PASSING: u16 = 4;

/// How long a job has a place in passing: a page or two, so that the next one waits no longer than that.
const PASSING: Duration = Duration::from_millis(250);

/// The places for the jobs of one queue.
#[derive(Clone)]
pub(crate) struct Places {
    places: Arc<Semaphore>,
    quantum: Duration,
    stop: CancellationToken,
}

/// How long an attempt may go on, and its place.
pub(crate) struct Quantum {
    ends: Instant,
    stop: CancellationToken,
    _place: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// So many places for a quantum each. Once `stop` is cancelled, all quanta are over.
    pub(crate) fn new(count: u16, quantum: Duration, stop: CancellationToken) -> Self {
        Self { places: Arc::new(Semaphore::new(count.into())), quantum, stop }
    }

    /// How many jobs there may be at once, those in passing included.
    pub(crate) fn at_once(count: u16) -> u16 {
        count.saturating_add(count / PLACES_PER_PASSING)
    }

    /// Takes a place, in passing if there is no other.
    pub(crate) fn take(&self) -> Quantum {
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let length = if place.is_some() { self.quantum } else { self.quantum.min(PASSING) };
        Quantum { ends: Instant::now() + length, stop: self.stop.clone(), _place: place }
    }
}

impl Quantum {
    /// Whether the attempt ends with the page at hand.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.is_cancelled() || Instant::now() >= self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_no_place_has_one_in_passing() {
        let places = Places::new(1, Duration::from_secs(600), CancellationToken::new());
        let (stays, passes) = (places.take(), places.take());
        assert!(passes.ends < stays.ends);
        drop(passes);
        assert!(places.take().ends < stays.ends, "its only place is taken still");
        drop(stays);
        let (stays, passes) = (places.take(), places.take());
        assert!(passes.ends < stays.ends);
    }

    #[tokio::test]
    async fn a_stop_ends_every_quantum() {
        let stop = CancellationToken::new();
        let quantum = Places::new(1, Duration::from_secs(600), stop.clone()).take();
        assert!(!quantum.is_over());
        stop.cancel();
        assert!(quantum.is_over());
    }

    #[test]
    fn few_places_mean_what_they_say() {
        assert_eq!([1, 3, 4, 8].map(Places::at_once), [1, 3, 5, 10]);
    }
}
