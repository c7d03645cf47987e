//! From a message to an attempt: claim, run, acknowledge.
//!
//! A message is acknowledged after the attempt has written how it ended, so a worker that dies in
//! between leaves it to the broker, and the row, which is the truth, to the rescuer.

use std::sync::Arc;
use std::time::Duration;

use longshore_broker::{Broker, Delivery, Queue};
use longshore_db::jobs::{self, Claimed};
use longshore_model::JobMessage;
use longshore_telemetry::Tasks;
use tokio::time::{sleep, timeout};
use tracing::{Instrument, debug, info_span, warn};

use crate::attempt;
use crate::context::Context;
use crate::places::Places;

/// How long a claim may take before its connection counts as dead.
const CLAIM_PATIENCE: Duration = Duration::from_secs(10);

/// Pause between claims while the database does not answer. The message waits in this worker; given
/// back it would come again at once and use up its delivery limit.
const CLAIM_PAUSE: Duration = Duration::from_millis(500);

/// Takes messages of one queue until the worker stops.
pub(crate) async fn consume(context: Arc<Context>, broker: Broker, queue: Queue, tasks: Tasks) {
    let jobs = context.config.jobs;
    let places = Places::new(jobs, context.config.quantum, context.stop.clone());
    let mut consumer = broker.consumer(queue, Places::at_once(jobs), context.stop.clone());
    while let Some((message, delivery)) = consumer.next_message::<JobMessage>().await {
        let (context, places) = (Arc::clone(&context), places.clone());
        tasks.spawn("attempt", async move { deliver(&context, &places, &message, delivery).await });
    }
}

async fn deliver(context: &Context, places: &Places, message: &JobMessage, delivery: Delivery) {
    let Some(claimed) = claim(context, message.job).await else {
        delivery.requeue().await;
        return;
    };
    let Some(claimed) = claimed else {
        debug!(job.id = message.job, "nothing to do: finished, cancelled, leased or not yet due");
        delivery.ack().await;
        return;
    };
    let held = context.leases.hold(claimed.lease);
    let running = context.metrics.start(claimed.kind);
    let span = info_span!(
        "attempt",
        job.id = claimed.lease.job,
        job.attempt = claimed.lease.attempt,
        sync.id = claimed.sync_id,
        storage.id = claimed.storage_id
    );
    let quantum = places.take();
    let ending = attempt::run(context, &claimed, &quantum, &held.lost).instrument(span).await;
    drop((held, quantum));
    running.end(ending);
    delivery.ack().await;
}

/// Claims, waiting for the database as long as it takes; `None` if the worker stops first.
async fn claim(context: &Context, job: i64) -> Option<Option<Claimed>> {
    loop {
        let claimed = timeout(CLAIM_PATIENCE, async {
            jobs::claim(&context.db.client().await?, job, &context.config.name, context.config.lease).await
        });
        match claimed.await {
            Ok(Ok(claimed)) => return Some(claimed),
            Ok(Err(error)) => warn!(job.id = job, error = %error, "claim failed, trying again"),
            Err(_) => warn!(job.id = job, "claim failed: the database does not answer in time"),
        }
        context.stop.run_until_cancelled(sleep(CLAIM_PAUSE)).await?;
    }
}
