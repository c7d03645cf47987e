//! From a message to an attempt: claim, run, acknowledge.
//!
//! A message is acknowledged after the attempt has recorded its end. If the worker dies before that, the broker
//! delivers the message again, and the rescuer releases the job; the row decides, not the message. A worker whose
//! database is unavailable takes no messages, because another worker may reach the database.

use std::sync::Arc;
use std::time::Duration;

use longshore_broker::{Broker, Delivery, Queue};
use longshore_db::Client;
use longshore_db::Error as DbError;
use longshore_db::lifecycle::{self, Claim, Claimant};
use longshore_model::JobMessage;
use longshore_telemetry::{Tasks, error_chain};
use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span, warn};

use crate::attempt;
use crate::context::Context;
use crate::job_error::JobError;
use crate::metrics::Ending;
use crate::slots::Slots;

/// How long a claim may take before its connection counts as dead.
const CLAIM_PATIENCE: Duration = Duration::from_secs(10);

/// How many quanta a job that must run alone waits for the other attempts to end. No other attempt starts meanwhile.
/// One quantum would be enough if pages took no time; with more than two, one slow page would idle the worker for
/// longer.
const TURN_QUANTA: u32 = 2;

/// Pause between claims of a job whose row is locked or whose claim failed.
const CLAIM_PAUSE: Duration = Duration::from_millis(500);

/// Takes messages of one queue until the worker stops.
pub(crate) async fn consume(context: Arc<Context>, broker: Broker, queue: Queue, tasks: Tasks) {
    let jobs = context.config.jobs;
    let slots = Slots::new(jobs, context.config.quantum, context.stop.clone());
    let mut consumer = broker.consumer(queue, Slots::total(jobs), context.stop.clone());
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
        let (context, slots) = (Arc::clone(&context), slots.clone());
        tasks.spawn("attempt", async move { deliver(&context, &slots, &message, delivery).await });
    }
}

async fn deliver(context: &Context, slots: &Slots, message: &JobMessage, delivery: Delivery) {
    // Waits before the claim: while an attempt runs alone here, another worker can claim the job.
    let Some(shared) = context.stop.run_until_cancelled(context.alone.read()).await else {
        return delivery.requeue().await;
    };
    let job = match claim(context, message.job).await {
        Some(Claim::Job(job)) => job,
        Some(Claim::Nothing | Claim::Busy) => {
            debug!(
                event = "nothing_to_claim",
                job.id = message.job,
                "nothing to claim: the job is finished, cancelled, leased or not due"
            );
            return delivery.ack().await;
        }
        None => return delivery.requeue().await,
    };
    let lease = context.leases.add(job.lease);
    if job.begins_sync {
        context.db.wake_reporter();
    }
    let span = info_span!(
        "attempt",
        job.id = job.lease.job,
        job.attempt = job.lease.attempt,
        sync.id = job.sync_id,
        storage.id = job.storage_id
    );
    let attempt = async {
        let turn = turn(context, shared, job.page_limit().is_some(), &lease.lost).await;
        let running = context.metrics.start(job.kind);
        let quantum = slots.take();
        let ending = match &turn {
            // On the heap: a future that is moved from task to task must be small.
            Ok(_) => Box::pin(attempt::run(context, &job, &quantum, &lease.lost)).await,
            Err(error) => attempt::give_back(context, &job, error, &lease.lost).await,
        };
        drop((quantum, turn));
        // The end of the job may be the end of the sync.
        match ending {
            Ending::Completed | Ending::Retried | Ending::Discarded => context.db.wake_reporter(),
            Ending::Released | Ending::Left | Ending::Abandoned => {}
        }
        running.end(ending);
    };
    lease.waits.scope(attempt).instrument(span).await;
    drop(lease);
    delivery.ack().await;
}

/// The right of an attempt to run beside the others of this worker, or alone. Dropping it gives it back.
enum Turn<'a> {
    Shared { _guard: RwLockReadGuard<'a, ()> },
    Alone { _guard: RwLockWriteGuard<'a, ()> },
}

/// If the attempt must run alone, waits until no other attempt runs. Its lease is extended meanwhile.
///
/// # Errors
/// Other attempts did not end in time, the lease is lost, or the worker is stopping: the caller releases the job.
async fn turn<'a>(
    context: &'a Context,
    shared: RwLockReadGuard<'a, ()>,
    alone: bool,
    lost: &CancellationToken,
) -> Result<Turn<'a>, JobError> {
    if !alone {
        return Ok(Turn::Shared { _guard: shared });
    }
    drop(shared);
    info!(event = "job_runs_alone", "job lost its worker several times; it runs alone, in small pages");
    tokio::select! {
        guard = context.alone.write() => Ok(Turn::Alone { _guard: guard }),
        () = sleep(context.config.quantum * TURN_QUANTA) => Err(JobError::NotAlone),
        () = lost.cancelled() => Err(JobError::Db(DbError::LeaseLost)),
        () = context.stop.cancelled() => Err(JobError::Draining),
    }
}

/// Claims a job. `None` leaves the message to another worker: the database is unavailable, or this worker is stopping.
async fn claim(context: &Context, job: i64) -> Option<Claim> {
    loop {
        match try_claim(context, job).await {
            // The row is locked, for example by the last commit of an attempt that lost its lease.
            Ok(Claim::Busy) => {}
            Ok(claim) => return Some(claim),
            Err(error) if error.is_unavailable() => {
                // The board of waits warns once a minute.
                debug!(event = "claim_failed", job.id = job, error = error_chain(&error), "claim failed");
                if !context.database.is_up_after_all().await {
                    return None;
                }
            }
            Err(error) => warn!(event = "claim_failed", job.id = job, error = error_chain(&error), "claim failed"),
        }
        context.stop.run_until_cancelled(sleep(CLAIM_PAUSE)).await?;
    }
}

async fn try_claim(context: &Context, job: i64) -> Result<Claim, DbError> {
    let who = Claimant { worker: &context.config.name, process: context.process };
    let client = context.db.client().await?;
    let claim = timeout(CLAIM_PATIENCE, lifecycle::claim(&client, job, who, context.config.lease)).await;
    claim.unwrap_or_else(|_| {
        // The connection may be half-open: it must not go back to the pool.
        drop(Client::take(client));
        Err(DbError::Silent)
    })
}
