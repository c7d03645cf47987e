//! The rescuer: jobs of dead workers become due again, and messages that a broker lost are sent again.

use std::time::Duration;

use longshore_db::{Db, lifecycle};
use prometheus::{IntCounter, Registry};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::round_failed;

/// A job that has been due for this many rounds without a claim gets a further message. Fewer would send again what
/// a worker has just taken; with the default of 15 seconds a round, a lost message is found within a minute.
const SILENT_ROUNDS: u32 = 2;

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
            messages_lost: IntCounter::new(
                "longshore_messages_lost_total",
                "Further messages for jobs that are due and not claimed: a message was lost, or the job waits in a long queue.",
            )?,
        };
        registry.register(Box::new(metrics.leases_expired.clone()))?;
        registry.register(Box::new(metrics.messages_lost.clone()))?;
        Ok(metrics)
    }
}

/// Rescues until stopped, once a `period`.
pub(crate) async fn run(db: Db, period: Duration, metrics: RescuerMetrics, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(period)).await.is_some() {
        if let Err(error) = round(&db, period, &metrics).await {
            round_failed("rescuer", &error);
        }
    }
}

async fn round(db: &Db, period: Duration, metrics: &RescuerMetrics) -> longshore_db::Result<()> {
    let expired = db.in_time(async { lifecycle::rescue_expired(&db.client().await?).await }).await?;
    if expired > 0 {
        warn!(event = "leases_expired", jobs = expired, "leases expired; their jobs are due");
        metrics.leases_expired.inc_by(expired);
    }
    let silence = period * SILENT_ROUNDS;
    let sent = db.in_time(async { lifecycle::republish_lost(&db.client().await?, silence).await }).await?;
    if sent > 0 {
        info!(event = "messages_republished", messages = sent, "republished messages that were probably lost");
        metrics.messages_lost.inc_by(sent);
    }
    Ok(())
}
