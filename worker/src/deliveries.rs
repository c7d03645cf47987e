//! From a message to an attempt: claim, run, acknowledge.
//!
//! A message is acknowledged after the attempt has written how it ended, so a worker that dies in
//! between leaves it to the broker, and the row, which is the truth, to the rescuer. A worker whose database is
//! unavailable takes no messages: another worker's may be available.

use longshore_telemetry::error_chain;
use std::sync::Arc;
use std::time::Duration;

use longshore_broker::{Broker, Delivery, Queue};
use longshore_db::Client;
use longshore_db::Error as DbError;
use longshore_db::lifecycle::{self, Claim, Claimant};
use longshore_model::JobMessage;
use longshore_telemetry::Tasks;
use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span, warn};

use crate::attempt;
use crate::context::Context;
use crate::job_error::JobError;
use crate::metrics::Ending;
use crate::places::Places;

/// How long a claim may take before its connection counts as dead.
const CLAIM_PATIENCE: Duration = Duration::from_secs(10);

/// Quanta that a job which has to run alone waits for the other attempts to end. Nothing new begins meanwhile, so one
/// quantum would do if pages took no time; for longer, one slow page would idle the worker.
const ROOM_QUANTA: u32 = 2;

/// Pause between claims of a job whose row is locked or whose claim failed.
const CLAIM_PAUSE: Duration = Duration::from_millis(500);

/// Takes messages of one queue until the worker stops.
pub(crate) async fn consume(context: Arc<Context>, broker: Broker, queue: Queue, tasks: Tasks) {
    let jobs = context.config.jobs;
    let places = Places::new(jobs, context.config.quantum, context.stop.clone());
    let mut consumer = broker.consumer(queue, Places::at_once(jobs), context.stop.clone());
    loop {
        let next = tokio::select! {
            next = consumer.next_message::<JobMessage>() => next,
            () = context.database.down() => {
                consumer.pause().await;
                info!(event = "consuming_paused", queue = queue.as_str(), "paused until the database is available");
                if context.stop.run_until_cancelled(context.database.up()).await.is_none() {
                    return;
                }
                info!(event = "consuming_resumed", queue = queue.as_str(), "consuming resumed");
                continue;
            }
        };
        let Some((message, delivery)) = next else { return };
        let (context, places) = (Arc::clone(&context), places.clone());
        tasks.spawn("attempt", async move { deliver(&context, &places, &message, delivery).await });
    }
}

async fn deliver(context: &Context, places: &Places, message: &JobMessage, delivery: Delivery) {
    // Before the claim: a job whose attempt has to wait for one that runs alone can be another worker's meanwhile.
    let Some(shared) = context.stop.run_until_cancelled(context.alone.read()).await else {
        return delivery.requeue().await;
    };
    let claimed = match claim(context, message.job).await {
        Some(Claim::Claimed(claimed)) => claimed,
        Some(Claim::Nothing | Claim::Busy) => {
            debug!(
                event = "nothing_to_claim",
                job.id = message.job,
                "nothing to claim: finished, cancelled, leased or not due"
            );
            return delivery.ack().await;
        }
        None => return delivery.requeue().await,
    };
    let held = context.leases.hold(claimed.lease);
    if claimed.begins_sync {
        context.db.wake_reporter();
    }
    let span = info_span!(
        "attempt",
        job.id = claimed.lease.job,
        job.attempt = claimed.lease.attempt,
        sync.id = claimed.sync_id,
        storage.id = claimed.storage_id
    );
    let attempt = async {
        let room = room(context, shared, claimed.page_limit().is_some(), &held.lost).await;
        let running = context.metrics.start(claimed.kind);
        let quantum = places.take();
        let ending = match &room {
            Ok(_) => attempt::run(context, &claimed, &quantum, &held.lost).await,
            Err(error) => attempt::give_back(context, &claimed, error, &held.lost).await,
        };
        drop((quantum, room));
        // The job's end may be the sync's.
        match ending {
            Ending::Completed | Ending::Retried | Ending::Discarded => context.db.wake_reporter(),
            Ending::Released | Ending::Left | Ending::Abandoned => {}
        }
        running.end(ending);
    };
    attempt.instrument(span).await;
    drop(held);
    delivery.ack().await;
}

/// The room of an attempt among those of this worker; the guard is all that counts.
enum Room<'a> {
    Shared { _guard: RwLockReadGuard<'a, ()> },
    Alone { _guard: RwLockWriteGuard<'a, ()> },
}

/// Waits until no other attempt runs, where an attempt has to run alone. Its lease is extended meanwhile.
///
/// # Errors
/// Other attempts did not end in time, the lease is lost, or the worker stops: the job is given back.
async fn room<'a>(
    context: &'a Context,
    shared: RwLockReadGuard<'a, ()>,
    alone: bool,
    lost: &CancellationToken,
) -> Result<Room<'a>, JobError> {
    if !alone {
        return Ok(Room::Shared { _guard: shared });
    }
    drop(shared);
    info!(event = "job_runs_alone", "job lost its worker several times; it runs alone, in small pages");
    tokio::select! {
        guard = context.alone.write() => Ok(Room::Alone { _guard: guard }),
        () = sleep(context.config.quantum * ROOM_QUANTA) => Err(JobError::NoRoom),
        () = lost.cancelled() => Err(JobError::Db(DbError::LeaseLost)),
        () = context.stop.cancelled() => Err(JobError::Draining),
    }
}

/// Claims. `None` means that the message is for another worker: the database is unavailable, or this worker stops.
async fn claim(context: &Context, job: i64) -> Option<Claim> {
    loop {
        match try_claim(context, job).await {
            // The row is locked, as by the last commit of an attempt that lost its lease.
            Ok(Claim::Busy) => {}
            Ok(claim) => return Some(claim),
            Err(error) => {
                warn!(event = "claim_failed", job.id = job, error = error_chain(&error), "claim failed");
                if error.is_unavailable() && !context.database.is_up_after_all().await {
                    return None;
                }
            }
        }
        context.stop.run_until_cancelled(sleep(CLAIM_PAUSE)).await?;
    }
}

async fn try_claim(context: &Context, job: i64) -> Result<Claim, DbError> {
    let who = Claimant { worker: &context.config.name, process: context.process };
    let client = context.db.client().await?;
    let claim = timeout(CLAIM_PATIENCE, lifecycle::claim(&client, job, who, context.config.lease)).await;
    claim.unwrap_or_else(|_| {
        // It may be half-open: it must not go back to the pool.
        drop(Client::take(client));
        Err(DbError::Silent)
    })
}
