//! The leases this worker holds, and the heartbeat that extends them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longshore_db::jobs::{self, Lease};
use longshore_db::{Db, workers};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::metrics::JobMetrics;

/// Heartbeats per lease. Five may be missed before a lease expires, so a database that restarts
/// takes no job from anybody.
const BEATS_PER_LEASE: u32 = 6;

/// The leases of running attempts, each with the token that ends its attempt.
#[derive(Clone, Default)]
pub(crate) struct Leases {
    held: Arc<Mutex<HashMap<Lease, CancellationToken>>>,
}

/// What the heartbeat says of the worker itself.
pub(crate) struct Presence {
    pub(crate) name: String,
    /// Import jobs at once.
    pub(crate) slots: i32,
}

/// Keeps a lease in the heartbeat until dropped.
pub(crate) struct Held {
    leases: Leases,
    lease: Lease,
    /// Cancelled once the lease is lost.
    pub(crate) lost: CancellationToken,
}

impl Leases {
    /// Adds a lease to the heartbeat.
    pub(crate) fn hold(&self, lease: Lease) -> Held {
        let lost = CancellationToken::new();
        self.lock().insert(lease, lost.clone());
        Held { leases: self.clone(), lease, lost }
    }

    /// Extends all leases until stopped. A lease that no longer holds ends its attempt: the job was
    /// cancelled, or another worker has it because this one was silent for too long.
    pub(crate) async fn run(
        &self,
        db: &Db,
        me: Presence,
        lease: Duration,
        metrics: &JobMetrics,
        stop: CancellationToken,
    ) {
        let mut beat = interval(lease / BEATS_PER_LEASE);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(beat.tick()).await.is_some() {
            let leases: Vec<Lease> = self.lock().keys().copied().collect();
            // A stalled connection must not cost more beats than this one.
            let extended = tokio::time::timeout(lease / 2, async {
                let client = db.client().await?;
                workers::seen(&client, &me.name, me.slots).await?;
                jobs::heartbeat(&client, &leases, lease).await
            })
            .await;
            match extended {
                Ok(Ok(still_held)) => self.end_lost(&leases, &still_held, metrics),
                Ok(Err(error)) => warn!(error = %error, "leases not extended: the database does not answer"),
                Err(_) => warn!("leases not extended: the database does not answer in time"),
            }
        }
        // Nobody should split a range for a worker that is gone; where this fails, time tells.
        let gone = async { workers::gone(&db.client().await?, &me.name).await };
        if let Err(error) = gone.await {
            debug!(error = %error, "not signed off");
        }
    }

    fn end_lost(&self, asked: &[Lease], still_held: &[Lease], metrics: &JobMetrics) {
        let held = self.lock();
        for lease in asked.iter().filter(|lease| !still_held.contains(lease)) {
            // Gone from the map: the attempt ended by itself meanwhile.
            if let Some(lost) = held.get(lease) {
                info!(job.id = lease.job, job.attempt = lease.attempt, "lease lost: the attempt ends");
                metrics.leases_lost.inc();
                lost.cancel();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Lease, CancellationToken>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leases.lock().remove(&self.lease);
    }
}
