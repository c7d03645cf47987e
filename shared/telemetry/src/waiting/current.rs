//! What one piece of work, such as an attempt, waits for at this moment.
//!
//! The parts that wait are deep below the work that they delay, and several pieces of work share them. So they do not
//! get a parameter: [`CurrentWaits::scope`] sets a task-local around the work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use longshore_model::WaitingFor;
use tokio::time::Instant;

tokio::task_local! {
    static CURRENT: CurrentWaits;
}

/// What one piece of work waits for. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct CurrentWaits(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Calls of a storage without an answer, including those that wait for a permit.
    storage: Pending,
    /// Calls that wait for a permit.
    permit: Pending,
    /// Pages that wait for memory.
    memory: Pending,
    /// When the first call began of those that failed since the last answer.
    failing_since: Option<Instant>,
    /// The latest error of a storage since the last answer.
    error: Option<String>,
}

/// Waits of one sort.
#[derive(Debug, Default)]
struct Pending {
    count: usize,
    /// Since when none of them ended well. `None` if there are none.
    since: Option<Instant>,
}

/// What a part of the work may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Storage,
    Permit,
    Memory,
}

/// One wait. Dropping it ends the wait.
#[derive(Debug)]
pub struct WaitGuard {
    waits: Option<CurrentWaits>,
    part: Part,
    began: Instant,
    is_over: bool,
}

impl CurrentWaits {
    /// Runs work whose waits are recorded here.
    pub async fn scope<T>(&self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self.clone(), work).await
    }

    /// The waits of the current work; empty ones outside of any.
    pub fn of_current() -> Self {
        CURRENT.try_with(Self::clone).unwrap_or_default()
    }

    /// Begins a call of a storage, with all its retries.
    pub fn call_storage() -> WaitGuard {
        WaitGuard::begin(Part::Storage)
    }

    /// Begins to wait for a permit to send a request.
    pub fn take_permit() -> WaitGuard {
        WaitGuard::begin(Part::Permit)
    }

    /// Begins to wait for memory.
    pub fn take_memory() -> WaitGuard {
        WaitGuard::begin(Part::Memory)
    }

    /// Records the error of a request that is sent again.
    pub fn record_error(error: impl FnOnce() -> String) {
        CURRENT.try_with(|waits| waits.lock().error = Some(error())).ok();
    }

    /// What the work has waited for at least this long, how long, and the latest error. A call that is answered while
    /// others are pending shows that the storage works, so it begins the time again.
    pub fn longest(&self, at_least: Duration) -> Option<(WaitingFor, Duration, Option<String>)> {
        let state = self.lock();
        let lasts = |pending: &Pending| pending.since.map(|since| since.elapsed()).filter(|time| *time >= at_least);
        if let Some(time) = lasts(&state.memory) {
            let error = "All memory for objects is in use by other pages.".to_owned();
            return Some((WaitingFor::Limit, time, Some(error)));
        }
        if state.storage.count > state.permit.count {
            let error = || Some("The storage has not answered yet.".to_owned());
            return lasts(&state.storage).map(|time| (WaitingFor::Storage, time, state.error.clone().or_else(error)));
        }
        let error = "Other requests to this storage use all permits.".to_owned();
        lasts(&state.permit).map(|time| (WaitingFor::Limit, time, Some(error)))
    }

    /// How long ago the first call began of those that failed since the last answer.
    pub fn failing_for(&self) -> Duration {
        self.lock().failing_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Poisoning is harmless: no statement leaves the state half-updated.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets work that runs as another tokio task record its waits where the current work does.
pub fn inherit<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let waits = CurrentWaits::of_current();
    async move { waits.scope(work).await }
}

impl State {
    fn pending(&mut self, part: Part) -> &mut Pending {
        match part {
            Part::Storage => &mut self.storage,
            Part::Permit => &mut self.permit,
            Part::Memory => &mut self.memory,
        }
    }
}

impl WaitGuard {
    fn begin(part: Part) -> Self {
        let began = Instant::now();
        let waits = CURRENT.try_with(CurrentWaits::clone).ok();
        if let Some(waits) = &waits {
            let mut state = waits.lock();
            let pending = state.pending(part);
            pending.count += 1;
            pending.since.get_or_insert(began);
        }
        Self { waits, part, began, is_over: false }
    }

    /// Ends the wait, because what it waited for came.
    pub fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let Some(waits) = &self.waits else { return };
        let mut state = waits.lock();
        let pending = state.pending(self.part);
        pending.count = pending.count.saturating_sub(1);
        if self.is_over || pending.count == 0 {
            pending.since = (pending.count > 0).then(Instant::now);
        }
        if self.part == Part::Storage {
            if self.is_over {
                (state.failing_since, state.error) = (None, None);
            } else {
                state.failing_since.get_or_insert(self.began);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn later(seconds: u32) {
        tokio::time::advance(SECOND * seconds).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_is_a_wait_for_the_storage() {
        let waits = CurrentWaits::default();
        waits
            .scope(async {
                let (first, second) = (CurrentWaits::call_storage(), CurrentWaits::call_storage());
                later(6).await;
                CurrentWaits::record_error(|| "reset".to_owned());
                let expected = (WaitingFor::Storage, SECOND * 6, Some("reset".to_owned()));
                assert_eq!(waits.longest(SECOND * 5), Some(expected));
                first.end();
                assert_eq!(waits.longest(SECOND), None, "the storage answers");
                later(5).await;
                let (what, time, error) = waits.longest(SECOND * 5).unwrap();
                assert_eq!((what, time), (WaitingFor::Storage, SECOND * 5));
                assert!(error.unwrap().contains("not answered"), "the earlier error is over");
                drop(second);
                assert_eq!((waits.longest(Duration::ZERO), waits.failing_for()), (None, SECOND * 11));
                CurrentWaits::call_storage().end();
                assert!(waits.failing_for().is_zero());
            })
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_waits_for_a_permit_waits_for_a_limit() {
        let waits = CurrentWaits::default();
        waits
            .scope(async {
                let call = CurrentWaits::call_storage();
                let permit = CurrentWaits::take_permit();
                later(7).await;
                assert_eq!(waits.longest(SECOND * 5).map(|(what, ..)| what), Some(WaitingFor::Limit));
                permit.end();
                assert_eq!(waits.longest(SECOND * 5).map(|(what, ..)| what), Some(WaitingFor::Storage));
                call.end();
                let memory = inherit(async { CurrentWaits::take_memory() }).await;
                later(7).await;
                assert_eq!(waits.longest(SECOND * 5).map(|(what, ..)| what), Some(WaitingFor::Limit));
                memory.end();
                assert_eq!(waits.longest(Duration::ZERO), None);
            })
            .await;
    }

    #[tokio::test]
    async fn outside_of_any_work_nothing_is_recorded() {
        let call = CurrentWaits::call_storage();
        assert_eq!(CurrentWaits::of_current().longest(Duration::ZERO), None);
        drop(call);
    }
}
