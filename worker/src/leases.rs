//! The leases that this worker holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use longshore_db::jobs::{Heartbeat, JobWait, Lease, WaitChange};
use longshore_model::WaitingFor;
use longshore_telemetry::waiting::CurrentWaits;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The leases of running attempts. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Leases(Arc<Mutex<HashMap<Lease, Running>>>);

/// A running attempt.
struct Running {
    /// Ends the attempt.
    lost: CancellationToken,
    waits: CurrentWaits,
    /// Whether the last heartbeat recorded a wait, which a later one must clear.
    is_wait_recorded: bool,
}

/// Keeps a lease in the heartbeat until dropped.
pub(crate) struct LeaseGuard {
    leases: Leases,
    lease: Lease,
    /// Cancelled once the lease is lost.
    pub(crate) lost: CancellationToken,
    /// What the attempt waits for. The heartbeat records it.
    pub(crate) waits: CurrentWaits,
}

impl Leases {
    /// Adds a lease to the heartbeat.
    pub(crate) fn add(&self, lease: Lease) -> LeaseGuard {
        let (lost, waits) = (CancellationToken::new(), CurrentWaits::default());
        let running = Running { lost: lost.clone(), waits: waits.clone(), is_wait_recorded: false };
        self.lock().insert(lease, running);
        LeaseGuard { leases: self.clone(), lease, lost, waits }
    }

    /// The leases of running attempts.
    pub(crate) fn all(&self) -> Vec<Lease> {
        self.lock().keys().copied().collect()
    }

    /// The heartbeats of running attempts. Waits of at least this length are recorded.
    pub(crate) fn beats(&self, at_least: Duration) -> Vec<Heartbeat> {
        let mut running = self.lock();
        let beats = running.iter_mut().map(|(lease, attempt)| {
            let wait = match attempt.waits.longest(at_least) {
                Some((what, age, error)) => WaitChange::Set(JobWait { what, age, error }),
                None if attempt.is_wait_recorded => WaitChange::Clear,
                // What an earlier attempt waited for ends with the next page.
                None => WaitChange::Keep,
            };
            // It stays set, because a heartbeat that clears a wait may fail, or find the row locked.
            attempt.is_wait_recorded |= matches!(wait, WaitChange::Set(_));
            Heartbeat { lease: *lease, wait }
        });
        beats.collect()
    }

    /// What the running attempts have waited for at least this long.
    pub(crate) fn waits(&self, at_least: Duration) -> Vec<(WaitingFor, Duration, Option<String>)> {
        self.lock().values().filter_map(|attempt| attempt.waits.longest(at_least)).collect()
    }

    /// Ends the attempt of a lost lease. Returns false if the attempt has already ended.
    pub(crate) fn end(&self, lease: Lease) -> bool {
        self.lock().get(&lease).map(|attempt| attempt.lost.cancel()).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Lease, Running>> {
        // Poisoning is harmless: no statement leaves the map half-updated.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        self.leases.lock().remove(&self.lease);
    }
}

/// Logs that jobs were released because the answers to their claims were lost.
pub(crate) fn log_released(jobs: u64) {
    info!(event = "unknown_claims_released", jobs, "claims without an answer released; their jobs are due");
}
