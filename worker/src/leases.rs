//! The leases that this worker holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longshore_db::jobs::Lease;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The leases of running attempts, each with the token that ends its attempt. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Leases(Arc<Mutex<HashMap<Lease, CancellationToken>>>);

/// Keeps a lease in the heartbeat until dropped.
pub(crate) struct LeaseGuard {
    leases: Leases,
    lease: Lease,
    /// Cancelled once the lease is lost.
    pub(crate) lost: CancellationToken,
}

impl Leases {
    /// Adds a lease to the heartbeat.
    pub(crate) fn add(&self, lease: Lease) -> LeaseGuard {
        let lost = CancellationToken::new();
        self.lock().insert(lease, lost.clone());
        LeaseGuard { leases: self.clone(), lease, lost }
    }

    /// The leases of running attempts.
    pub(crate) fn all(&self) -> Vec<Lease> {
        self.lock().keys().copied().collect()
    }

    /// Ends the attempt of a lost lease. Returns false if the attempt has already ended.
    pub(crate) fn end(&self, lease: Lease) -> bool {
        self.lock().get(&lease).map(CancellationToken::cancel).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Lease, CancellationToken>> {
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
