//! The leases this worker holds, and the heartbeat that extends them.

use longshore_telemetry::error_chain;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longshore_db::jobs::{self, Lease};
use longshore_db::{Db, lifecycle, workers};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use uuid::Uuid;

use crate::availability::Availability;
use crate::metrics::JobMetrics;

/// Heartbeats per lease. Five may be missed before a lease expires, so a database that restarts
/// takes no job from a living worker.
const BEATS_PER_LEASE: u32 = 6;

/// The longest time between heartbeats, however long leases are: they also find that the database is unavailable, and
/// claims whose answers were lost.
pub(crate) const LONGEST_BEAT: Duration = Duration::from_secs(5);

/// The leases of running attempts, each with the token that ends its attempt.
#[derive(Clone, Default)]
pub(crate) struct Leases {
    held: Arc<Mutex<HashMap<Lease, CancellationToken>>>,
}

/// What the heartbeat says of the worker itself.
pub(crate) struct Presence {
    pub(crate) name: String,
    pub(crate) process: Uuid,
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

    /// The leases of running attempts.
    pub(crate) fn held(&self) -> Vec<Lease> {
        self.lock().keys().copied().collect()
    }

    /// Extends all leases until stopped. A lease that no longer holds ends its attempt: the job was
    /// cancelled, or another worker has it because this one was silent for too long.
    pub(crate) async fn run(
        &self,
        db: &Db,
        me: Presence,
        lease: Duration,
        database: &Availability,
        metrics: &JobMetrics,
        stop: CancellationToken,
    ) {
        let period = (lease / BEATS_PER_LEASE).min(LONGEST_BEAT);
        let mut beat = interval(period);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unknown = HashSet::new();
        while stop.run_until_cancelled(beat.tick()).await.is_some() {
            let leases = self.held();
            // A stalled connection must not cost more beats than this one.
            let extended = timeout(lease / 2, async {
                let client = db.client().await?;
                workers::seen(&client, &me.name, me.slots).await?;
                let held = jobs::heartbeat(&client, &leases, lease).await?;
                unknown = release_unknown(&client, &me, &leases, &unknown).await?;
                Ok::<_, longshore_db::Error>(held)
            })
            .await;
            match extended {
                Ok(Ok(still_held)) => self.end_lost(&leases, &still_held, metrics),
                Ok(Err(error)) => {
                    warn!(event = "heartbeat_failed", error = error_chain(&error), "could not extend leases");
                    if error.is_unavailable() {
                        database.doubt();
                    }
                }
                Err(_) => {
                    warn!(event = "heartbeat_failed", "could not extend leases: Postgres did not answer in time");
                    database.doubt();
                }
            }
        }
        // No range should be split for a worker that stopped; where this fails, time tells.
        let gone = async { workers::gone(&db.client().await?, &me.name).await };
        if let Err(error) = gone.await {
            debug!(event = "sign_off_failed", error = error_chain(&error), "could not deregister the worker");
        }
    }

    fn end_lost(&self, asked: &[Lease], still_held: &[Lease], metrics: &JobMetrics) {
        let held = self.lock();
        for lease in asked.iter().filter(|lease| !still_held.contains(lease)) {
            // Missing in the map: the attempt ended by itself meanwhile.
            if let Some(lost) = held.get(lease) {
                info!(
                    event = "lease_lost",
                    job.id = lease.job,
                    job.attempt = lease.attempt,
                    "lease lost; attempt ended"
                );
                metrics.leases_lost.inc();
                lost.cancel();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Lease, CancellationToken>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes jobs due that were leased to this process without its knowledge at the last beat already, and returns those
/// that are now. At a single beat it may only be that the answer to a claim is on the way.
async fn release_unknown(
    client: &longshore_db::Client,
    me: &Presence,
    held: &[Lease],
    before: &HashSet<Lease>,
) -> longshore_db::Result<HashSet<Lease>> {
    let (lost, new): (Vec<_>, Vec<_>) =
        jobs::unknown_leases(client, me.process, held).await?.into_iter().partition(|lease| before.contains(lease));
    let released = if lost.is_empty() { 0 } else { lifecycle::release_unknown(client, &lost).await? };
    if released > 0 {
        info!(
            event = "unknown_claims_released",
            jobs = released,
            "claims whose answers were lost are released; their jobs are due"
        );
    }
    Ok(new.into_iter().collect())
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leases.lock().remove(&self.lease);
    }
}
