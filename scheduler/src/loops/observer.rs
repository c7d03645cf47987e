//! The observer: counts rows in tables and messages in queues, as metrics about the whole service.
//!
//! Every scheduler reports the same numbers, so a dashboard takes their maximum, not their sum.

use std::time::Duration;

use longshore_broker::{Broker, Queue};
use longshore_db::{Db, Result, jobs, outbox};
use longshore_model::{JobKind, JobState};
use prometheus::{GaugeVec, IntGauge, IntGaugeVec, Opts, Registry};
use tokio_util::sync::CancellationToken;

use super::record_tick;
use crate::situation::Situation;

/// Time between ticks: about as often as Prometheus servers scrape.
const PERIOD: Duration = Duration::from_secs(5);

/// Gauges of tables, queues and pools.
#[derive(Clone)]
pub(crate) struct ServiceMetrics {
    jobs: IntGaugeVec,
    oldest: GaugeVec,
    outbox: IntGauge,
    queue: IntGaugeVec,
    consumers: IntGaugeVec,
    pool: IntGaugeVec,
}

impl ServiceMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let metrics = Self {
            jobs: gauge("longshore_jobs", "Unfinished jobs.", &["kind", "state"])?,
            oldest: GaugeVec::new(
                Opts::new(
                    "longshore_jobs_oldest_due_seconds",
                    "Seconds since the job that has waited longest became due.",
                ),
                &["kind"],
            )?,
            outbox: IntGauge::new(
                "longshore_outbox_due",
                "Messages that are due and that the broker has not confirmed.",
            )?,
            queue: gauge("longshore_queue_messages_ready", "Messages that wait in a queue of the broker.", &["queue"])?,
            consumers: gauge("longshore_queue_consumers", "Consumers of a queue.", &["queue"])?,
            pool: gauge(
                "longshore_database_connections",
                "Database connections by pool and state.",
                &["pool", "state"],
            )?,
        };
        registry.register(Box::new(metrics.jobs.clone()))?;
        registry.register(Box::new(metrics.oldest.clone()))?;
        registry.register(Box::new(metrics.outbox.clone()))?;
        registry.register(Box::new(metrics.queue.clone()))?;
        registry.register(Box::new(metrics.consumers.clone()))?;
        registry.register(Box::new(metrics.pool.clone()))?;
        Ok(metrics)
    }
}

/// Updates the gauges until stopped.
pub(crate) async fn run(
    db: Db,
    api: Db,
    broker: Broker,
    metrics: ServiceMetrics,
    situation: Situation,
    stop: CancellationToken,
) {
    while stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
        record_tick(&situation, "observer", &tick(&db, &api, &broker, &metrics).await);
    }
}

async fn tick(db: &Db, api: &Db, broker: &Broker, metrics: &ServiceMetrics) -> Result<()> {
    let counted = async {
        let client = db.client().await?;
        Ok((jobs::count_unfinished(&client).await?, outbox::count_due(&client).await?))
    };
    let (unfinished, due_messages) = db.in_time(counted).await?;
    // Set every label, so that a gauge without rows reports zero instead of its last value.
    for kind in JobKind::ALL {
        let due = unfinished.iter().filter(|stats| stats.kind == *kind && stats.state != JobState::Running);
        let oldest = due.map(|stats| stats.oldest_due_seconds).fold(0.0, f64::max);
        metrics.oldest.with_label_values(&[kind.as_str()]).set(oldest);
        for state in JobState::ALL.iter().filter(|state| !state.is_final()) {
            let count = unfinished.iter().find(|stats| stats.kind == *kind && stats.state == *state);
            let count = count.map_or(0, |stats| stats.count);
            metrics.jobs.with_label_values(&[kind.as_str(), state.as_str()]).set(count);
        }
    }
    metrics.outbox.set(due_messages);
    for (name, pool) in [("api", api.pool_status()), ("system", db.pool_status())] {
        for (state, count) in [("open", pool.size), ("idle", pool.available), ("waited_for", pool.waiting)] {
            metrics.pool.with_label_values(&[name, state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
    for queue in Queue::ALL {
        if let Ok(depth) = broker.depth(*queue).await {
            metrics.consumers.with_label_values(&[queue.as_str()]).set(depth.consumers.into());
            metrics.queue.with_label_values(&[queue.as_str()]).set(depth.ready.into());
        }
    }
    Ok(())
}
