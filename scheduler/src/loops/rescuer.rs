//! The rescuer: makes jobs with an expired lease due again, and republishes lost messages.

use std::time::Duration;

use longshore_db::{Db, lifecycle};
use prometheus::{IntCounter, Registry};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::record_tick;
use crate::situation::Situation;

/// A job gets another message if no worker claims it for this many ticks after it became due. With fewer, the rescuer
/// would republish messages that a worker has just received. With the default of 15 seconds per tick, a lost message is
/// found within a minute.
const UNCLAIMED_TICKS: u32 = 2;

/// Counters of the rescuer.
#[derive(Clone)]
pub(crate) struct RescuerMetrics {
    leases_expired: IntCounter,
    messages_lost: IntCounter,
}

impl RescuerMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            leases_expired: IntCounter::new("longshore_leases_expired_total", "Jobs whose lease expired.")?,
            messages_lost: IntCounter::new(
                "longshore_messages_lost_total",
                "Messages republished for due jobs that no worker claimed: the message was lost, or the queue is long.",
            )?,
        };
        registry.register(Box::new(metrics.leases_expired.clone()))?;
        registry.register(Box::new(metrics.messages_lost.clone()))?;
        Ok(metrics)
    }
}

/// Rescues jobs once per `period`, until stopped.
pub(crate) async fn run(
    db: Db,
    period: Duration,
    metrics: RescuerMetrics,
    situation: Situation,
    stop: CancellationToken,
) {
    while stop.run_until_cancelled(tokio::time::sleep(period)).await.is_some() {
        record_tick(&situation, "rescuer", &tick(&db, period, &metrics).await);
    }
}

async fn tick(db: &Db, period: Duration, metrics: &RescuerMetrics) -> longshore_db::Result<()> {
    let expired = db.in_time(async { lifecycle::rescue_expired(&db.client().await?).await }).await?;
    if expired > 0 {
        warn!(event = "leases_expired", jobs = expired, "leases expired, jobs are due again");
        metrics.leases_expired.inc_by(expired);
    }
    let unclaimed_time = period * UNCLAIMED_TICKS;
    let sent = db.in_time(async { lifecycle::republish_lost(&db.client().await?, unclaimed_time).await }).await?;
    if sent > 0 {
        info!(event = "messages_republished", messages = sent, "republished messages that were probably lost");
        metrics.messages_lost.inc_by(sent);
    }
    Ok(())
}
