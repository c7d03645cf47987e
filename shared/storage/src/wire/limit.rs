//! Limits concurrent requests per endpoint, adapted to what the endpoint can take.
//!
//! Additive increase, multiplicative decrease: a throttled request halves the limit, a full round of answers raises
//! it by one. Each endpoint has its own limit, so one that throttles does not slow another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longshore_telemetry::waiting::CurrentWaits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Endpoints that are remembered before idle ones are dropped, so that users who try many endpoints cannot fill the
/// memory. A cache from a library would also evict endpoints in use, whose next request would get a second set of permits.
const REMEMBERED: usize = 1_024;

/// The initial and the highest limit of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// Concurrent requests at first.
    pub start: usize,
    /// Most concurrent requests.
    pub ceiling: usize,
}

impl Default for Concurrency {
    /// 64 saturates a healthy bucket at usual latencies and does not overload a small server. 512 is more than one
    /// process requests, so in practice only the server sets the limit.
    fn default() -> Self {
        Self { start: 64, ceiling: 512 }
    }
}

/// The limits of all endpoints.
pub(super) struct Limits {
    concurrency: Concurrency,
    endpoints: Mutex<HashMap<String, Arc<EndpointLimit>>>,
}

/// The limit of one endpoint.
struct EndpointLimit {
    permits: Arc<Semaphore>,
    ceiling: usize,
    state: Mutex<State>,
}

struct State {
    limit: usize,
    /// Permits to remove as soon as they are returned.
    owed: usize,
    /// Good answers since the last change of the limit.
    answers: usize,
    /// Number of decreases so far.
    round: u64,
}

/// The right to send one request to an endpoint; returned when dropped.
pub(super) struct Permit {
    endpoint_limit: Arc<EndpointLimit>,
    permit: Option<OwnedSemaphorePermit>,
    round: u64,
}

impl Limits {
    pub(super) fn new(concurrency: Concurrency) -> Self {
        Self { concurrency, endpoints: Mutex::default() }
    }

    /// Waits for a permit of an endpoint; callers are served in order.
    pub(super) async fn acquire(&self, endpoint: &str) -> Permit {
        let endpoint_limit = self.endpoint_limit(endpoint);
        // The semaphore is never closed. If it were, the request would run without a limit instead of failing.
        let wait = CurrentWaits::take_permit();
        let permit = Arc::clone(&endpoint_limit.permits).acquire_owned().await.ok();
        wait.end();
        let round = lock(&endpoint_limit.state).round;
        Permit { endpoint_limit, permit, round }
    }

    fn endpoint_limit(&self, endpoint: &str) -> Arc<EndpointLimit> {
        let mut endpoints = lock(&self.endpoints);
        if let Some(endpoint_limit) = endpoints.get(endpoint) {
            return Arc::clone(endpoint_limit);
        }
        if endpoints.len() >= REMEMBERED {
            endpoints.retain(|_, endpoint_limit| Arc::strong_count(endpoint_limit) > 1);
        }
        let limit = self.concurrency.start.max(1);
        let endpoint_limit = Arc::new(EndpointLimit {
            permits: Arc::new(Semaphore::new(limit)),
            ceiling: self.concurrency.ceiling.max(limit),
            state: Mutex::new(State { limit, owed: 0, answers: 0, round: 0 }),
        });
        endpoints.insert(endpoint.to_owned(), Arc::clone(&endpoint_limit));
        endpoint_limit
    }
}

impl Permit {
    /// Records that the endpoint answered without throttling.
    pub(super) fn record_answer(&self) {
        let mut state = lock(&self.endpoint_limit.state);
        state.answers += 1;
        if state.answers < state.limit || state.limit >= self.endpoint_limit.ceiling {
            return;
        }
        state.answers = 0;
        state.limit += 1;
        if state.owed > 0 {
            state.owed -= 1;
        } else {
            self.endpoint_limit.permits.add_permits(1);
        }
    }

    /// Records that the endpoint throttled.
    ///
    /// A request that was sent before the last decrease says nothing about the current limit, so it is ignored.
    pub(super) fn record_throttling(&self) {
        let mut state = lock(&self.endpoint_limit.state);
        if state.round != self.round {
            return;
        }
        let fewer = state.limit / 2;
        state.limit -= fewer;
        state.owed += fewer - self.endpoint_limit.permits.forget_permits(fewer);
        state.answers = 0;
        state.round += 1;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = lock(&self.endpoint_limit.state);
        if state.owed > 0
            && let Some(permit) = self.permit.take()
        {
            state.owed -= 1;
            permit.forget();
        }
    }
}

/// Poisoning is harmless: no statement leaves the state half-updated.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// How many permits are available now.
    fn free(limits: &Limits, endpoint: &str) -> usize {
        let mut permits = Vec::new();
        while let Some(permit) = limits.acquire(endpoint).now_or_never() {
            permits.push(permit);
        }
        permits.len()
    }

    #[test]
    fn a_burst_of_refusals_halves_the_limit_once() {
        let limits = Limits::new(Concurrency { start: 8, ceiling: 16 });
        let burst: Vec<Permit> = (0..8).filter_map(|_| limits.acquire("a").now_or_never()).collect();
        burst.iter().for_each(Permit::record_throttling);
        drop(burst);
        assert_eq!(free(&limits, "a"), 4);
        assert_eq!(free(&limits, "b"), 8, "the other endpoint has its own limit");
    }

    #[test]
    fn the_limit_never_falls_below_one_and_recovers_a_step_a_round() {
        let limits = Limits::new(Concurrency { start: 4, ceiling: 4 });
        for _ in 0..5 {
            limits.acquire("a").now_or_never().unwrap().record_throttling();
        }
        assert_eq!(free(&limits, "a"), 1);
        limits.acquire("a").now_or_never().unwrap().record_answer();
        assert_eq!(free(&limits, "a"), 2);
        for _ in 0..2 {
            limits.acquire("a").now_or_never().unwrap().record_answer();
        }
        assert_eq!(free(&limits, "a"), 3);
    }

    #[test]
    fn the_limit_stops_at_its_ceiling() {
        let limits = Limits::new(Concurrency { start: 2, ceiling: 3 });
        for _ in 0..100 {
            limits.acquire("a").now_or_never().unwrap().record_answer();
        }
        assert_eq!(free(&limits, "a"), 3);
    }
}
