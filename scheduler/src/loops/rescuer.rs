//! The rescuer: jobs of dead workers become due again, and messages that a broker lost are sent again.

use std::time::Duration;

use longshore_broker::{Broker, Queue};
use longshore_db::{Db, jobs};
use longshore_model::JobKind;
use prometheus::{IntCounter, Registry};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::round_failed;

/// A job that has been due for so many rounds while its queue is empty has lost its message. Fewer
/// would send again what a worker has just taken.
const SILENT_ROUNDS: u32 = 3;

/// A job that has been due for so long is sent again although its queue is not empty: behind others
/// that is a message too many, after a loss it is the only one.
const OVERDUE: Duration = Duration::from_secs(600);

/// What the rescuer did.
#[derive(Clone)]
pub(crate) struct RescuerMetrics {
    leases_expired: IntCounter,
    messages_lost: IntCounter,
}

impl RescuerMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            leases_expired: IntCounter::new("longshore_leases_expired_total", "Jobs taken from silent workers.")?,
            messages_lost: IntCounter::new("longshore_messages_lost_total", "Messages sent again after a loss.")?,
        };
        registry.register(Box::new(metrics.leases_expired.clone()))?;
        registry.register(Box::new(metrics.messages_lost.clone()))?;
        Ok(metrics)
    }
}

/// Rescues until stopped, once a `period`.
pub(crate) async fn run(db: Db, broker: Broker, period: Duration, metrics: RescuerMetrics, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(period)).await.is_some() {
        if let Err(error) = round(&db, &broker, period, &metrics).await {
            round_failed("rescuer", &error);
        }
    }
}

async fn round(db: &Db, broker: &Broker, period: Duration, metrics: &RescuerMetrics) -> longshore_db::Result<()> {
    let expired = db.in_time(async { jobs::rescue_expired(&db.client().await?).await }).await?;
    if expired > 0 {
        warn!(jobs = expired, "leases expired: their workers are dead or stalled, the jobs are due again");
        metrics.leases_expired.inc_by(expired);
    }
    let mut drained = Vec::new();
    for kind in JobKind::ALL {
        // An unreachable queue says nothing; a deleted one is declared again by its consumers.
        if broker.depth(Queue::of(*kind)).await.is_ok_and(|depth| depth.ready == 0) {
            drained.push(*kind);
        }
    }
    let republished =
        async { jobs::republish_lost(&db.client().await?, &drained, period * SILENT_ROUNDS, OVERDUE).await };
    let lost = db.in_time(republished).await?;
    if lost > 0 {
        info!(messages = lost, "due jobs without a message: sent again");
        metrics.messages_lost.inc_by(lost);
    }
    Ok(())
}
