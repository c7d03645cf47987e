//! The heartbeat extends the leases of running attempts, and finds leases that this worker lost or does not know.

use std::collections::HashSet;
use std::time::Duration;

use longshore_db::jobs::{self, Heartbeat, Lease};
use longshore_db::{Client, Error as DbError, lifecycle, workers};
use longshore_telemetry::error_chain;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::context::Context;
use crate::leases::log_released;
use crate::waits::NOTICEABLE;

/// Heartbeats per lease. A lease expires after five missed heartbeats, so that no worker loses its jobs while the
/// database restarts.
const BEATS_PER_LEASE: u32 = 6;

/// The longest time between heartbeats, even for long leases: heartbeats also detect an unavailable database, and
/// claims whose answers were lost.
pub(crate) const LONGEST_BEAT: Duration = Duration::from_secs(5);

/// Extends all leases until `stop`, and then deregisters the worker. Ends the attempt of each lost lease: its job was
/// cancelled, or another worker has it because this one was silent for too long.
pub(crate) async fn run(context: &Context, stop: &CancellationToken) {
    let lease = context.config.lease;
    let mut beat = interval((lease / BEATS_PER_LEASE).min(LONGEST_BEAT));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unknown = HashSet::new();
    while stop.run_until_cancelled(beat.tick()).await.is_some() {
        let beats = context.leases.beats(NOTICEABLE);
        let leases: Vec<Lease> = beats.iter().map(|beat| beat.lease).collect();
        // A stalled connection must not delay further heartbeats.
        let extended = timeout(lease / 2, extend(context, &beats, &leases, &mut unknown)).await;
        let extended = extended.unwrap_or(Err(DbError::Silent));
        context.faults.record("heartbeat", extended.as_ref());
        match extended {
            Ok(extended) => end_lost(context, &leases, &extended),
            Err(error) if error.is_unavailable() => {
                // The board of waits warns once a minute.
                let error = context.db.address().explain(&error);
                debug!(event = "heartbeat_failed", error, "could not extend leases");
                context.database.doubt();
            }
            Err(error) => {
                let error = context.db.address().explain(&error);
                warn!(event = "heartbeat_failed", error, "could not extend leases");
            }
        }
    }
    // No range should be split for a stopped worker. If this fails, the row soon becomes too old to count.
    let removed = async { workers::deregister(&context.db.client().await?, &context.config.name).await };
    if let Err(error) = removed.await {
        debug!(event = "sign_off_failed", error = error_chain(&error), "could not deregister the worker");
    }
}

/// Sends one heartbeat and returns the leases that are still valid. `unknown` has the leases of this process that it
/// did not know at the last heartbeat, and is replaced by those of this one.
async fn extend(
    context: &Context,
    beats: &[Heartbeat],
    leases: &[Lease],
    unknown: &mut HashSet<Lease>,
) -> Result<Vec<Lease>, DbError> {
    let client = context.db.client().await?;
    workers::register(&client, &context.config.name, context.config.jobs.into()).await?;
    let extended = jobs::heartbeat(&client, beats, context.config.lease).await?;
    *unknown = release_unknown(context, &client, leases, unknown).await?;
    Ok(extended)
}

fn end_lost(context: &Context, leases: &[Lease], extended: &[Lease]) {
    for lease in leases.iter().filter(|lease| !extended.contains(lease)) {
        if context.leases.end(*lease) {
            info!(event = "lease_lost", job.id = lease.job, job.attempt = lease.attempt, "lease lost; attempt ended");
            context.metrics.leases_lost.inc();
        }
    }
}

/// Releases jobs whose leases this process did not know at two heartbeats in a row, and returns all that it does not
/// know now. At a single heartbeat, the answer to a claim may still be on its way.
async fn release_unknown(
    context: &Context,
    client: &Client,
    leases: &[Lease],
    before: &HashSet<Lease>,
) -> Result<HashSet<Lease>, DbError> {
    let unknown = jobs::unknown_leases(client, context.process, leases).await?;
    let (lost, new): (Vec<_>, Vec<_>) = unknown.into_iter().partition(|lease| before.contains(lease));
    let released = if lost.is_empty() { 0 } else { lifecycle::release_unknown(client, &lost).await? };
    if released > 0 {
        log_released(released);
    }
    Ok(new.into_iter().collect())
}
