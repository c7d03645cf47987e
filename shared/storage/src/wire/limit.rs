//! How many requests run at once against one endpoint, adapted to what it bears.
//!
//! Additive increase, multiplicative decrease: a refusal for load halves the limit, a full round of
//! answers raises it by one. Each endpoint has its own, so one that throttles slows no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Endpoints remembered before idle ones are forgotten; keeps users who try many endpoints from filling the memory.
/// Not a cache from a library: that would also evict endpoints in use, whose next request would then get a second set of
/// permits.
const REMEMBERED: usize = 1_024;

/// Where the limit of an endpoint starts and how far it grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    pub start: usize,
    pub ceiling: usize,
}

impl Default for Concurrency {
    /// 64 saturates a healthy bucket at usual latencies and does not startle a small server; 512 is
    /// above what one process asks for, so only the server sets the limit.
    fn default() -> Self {
        Self { start: 64, ceiling: 512 }
    }
}

/// The limits of all endpoints.
pub(super) struct Limits {
    concurrency: Concurrency,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
}

/// The limit of one endpoint.
struct Gate {
    permits: Arc<Semaphore>,
    ceiling: usize,
    state: Mutex<State>,
}

struct State {
    limit: usize,
    /// Permits to take away as soon as they are given back.
    owed: usize,
    /// Answers since the limit last changed.
    answers: usize,
    /// Counts the decreases.
    round: u64,
}

/// The right to send one request to an endpoint, given back when dropped.
pub(super) struct Permit {
    gate: Arc<Gate>,
    permit: Option<OwnedSemaphorePermit>,
    round: u64,
}

impl Limits {
    pub(super) fn new(concurrency: Concurrency) -> Self {
        Self { concurrency, gates: Mutex::default() }
    }

    /// Waits for a permit of an endpoint, first come, first served.
    pub(super) async fn enter(&self, endpoint: &str) -> Permit {
        let gate = self.gate(endpoint);
        // The semaphore is never closed; without a permit the request would run unlimited, not fail.
        let permit = Arc::clone(&gate.permits).acquire_owned().await.ok();
        let round = lock(&gate.state).round;
        Permit { gate, permit, round }
    }

    fn gate(&self, endpoint: &str) -> Arc<Gate> {
        let mut gates = lock(&self.gates);
        if let Some(gate) = gates.get(endpoint) {
            return Arc::clone(gate);
        }
        if gates.len() >= REMEMBERED {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        let limit = self.concurrency.start.max(1);
        let gate = Arc::new(Gate {
            permits: Arc::new(Semaphore::new(limit)),
            ceiling: self.concurrency.ceiling.max(limit),
            state: Mutex::new(State { limit, owed: 0, answers: 0, round: 0 }),
        });
        gates.insert(endpoint.to_owned(), Arc::clone(&gate));
        gate
    }
}

impl Permit {
    /// The endpoint answered as it should.
    pub(super) fn answered(&self) {
        let mut state = lock(&self.gate.state);
        state.answers += 1;
        if state.answers < state.limit || state.limit >= self.gate.ceiling {
            return;
        }
        state.answers = 0;
        state.limit += 1;
        if state.owed > 0 {
            state.owed -= 1;
        } else {
            self.gate.permits.add_permits(1);
        }
    }

    /// The endpoint asked for fewer requests.
    ///
    /// Requests that were already under way when the limit last fell say nothing about the new one.
    pub(super) fn throttled(&self) {
        let mut state = lock(&self.gate.state);
        if state.round != self.round {
            return;
        }
        let fewer = state.limit / 2;
        state.limit -= fewer;
        state.owed += fewer - self.gate.permits.forget_permits(fewer);
        state.answers = 0;
        state.round += 1;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = lock(&self.gate.state);
        if state.owed > 0
            && let Some(permit) = self.permit.take()
        {
            state.owed -= 1;
            permit.forget();
        }
    }
}

/// The numbers are right after every statement, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// How many permits can be had at once.
    fn free(limits: &Limits, endpoint: &str) -> usize {
        let mut permits = Vec::new();
        while let Some(permit) = limits.enter(endpoint).now_or_never() {
            permits.push(permit);
        }
        permits.len()
    }

    #[test]
    fn a_burst_of_refusals_halves_the_limit_once() {
        let limits = Limits::new(Concurrency { start: 8, ceiling: 16 });
        let burst: Vec<Permit> = (0..8).filter_map(|_| limits.enter("a").now_or_never()).collect();
        burst.iter().for_each(Permit::throttled);
        drop(burst);
        assert_eq!(free(&limits, "a"), 4);
        assert_eq!(free(&limits, "b"), 8, "another endpoint is not slowed");
    }

    #[test]
    fn the_limit_never_falls_below_one_and_recovers_a_step_a_round() {
        let limits = Limits::new(Concurrency { start: 4, ceiling: 4 });
        for _ in 0..5 {
            limits.enter("a").now_or_never().unwrap().throttled();
        }
        assert_eq!(free(&limits, "a"), 1);
        limits.enter("a").now_or_never().unwrap().answered();
        assert_eq!(free(&limits, "a"), 2);
        for _ in 0..2 {
            limits.enter("a").now_or_never().unwrap().answered();
        }
        assert_eq!(free(&limits, "a"), 3);
    }

    #[test]
    fn the_limit_stops_at_its_ceiling() {
        let limits = Limits::new(Concurrency { start: 2, ceiling: 3 });
        for _ in 0..100 {
            limits.enter("a").now_or_never().unwrap().answered();
        }
        assert_eq!(free(&limits, "a"), 3);
    }
}
