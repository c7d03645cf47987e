//! The watcher: finds out what syncs wait for, and shows it to `/readyz`, in the metrics and in the log.
//!
//! It starts before the schema is prepared, because a scheduler may wait for its database from the start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longshore_db::syncs::LiveSync;
use longshore_db::workers::Crew;
use longshore_db::{Db, Result, syncs, workers};
use longshore_model::WaitingFor;
use longshore_telemetry::waiting::Wait;
use prometheus::{IntGaugeVec, Opts, Registry};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::record_tick;
use crate::situation::{Situation, WORKER_SEEN_WITHIN};

/// Time between ticks. Users watch what a sync waits for; with a longer one, a wait would be shown late.
const PERIOD: Duration = Duration::from_secs(1);

/// The most live syncs that a tick reads, the oldest first. A storage has one live sync at most, so few services have
/// more. Reading a thousand takes milliseconds.
const MOST_SYNCS: i64 = 1_000;

/// The number of waiting syncs.
#[derive(Clone)]
pub(crate) struct WaitMetrics(IntGaugeVec);

impl WaitMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let help = "Live syncs that wait, by what they wait for; of the 1,000 oldest ones.";
        let waiting = IntGaugeVec::new(Opts::new("longshore_syncs_waiting", help), &["for"])?;
        registry.register(Box::new(waiting.clone()))?;
        let metrics = Self(waiting);
        metrics.observe(&BTreeMap::new());
        Ok(metrics)
    }

    fn observe(&self, waits: &BTreeMap<WaitingFor, Wait>) {
        for what in WaitingFor::ALL {
            let count = waits.get(what).and_then(|wait| wait.syncs).unwrap_or_default();
            self.0.with_label_values(&[what.as_str()]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

/// Watches until stopped. Reads tables only once the schema is `prepared`.
pub(crate) async fn run(
    db: Db,
    situation: Situation,
    metrics: WaitMetrics,
    prepared: Arc<AtomicBool>,
    stop: CancellationToken,
) {
    while stop.run_until_cancelled(sleep(PERIOD)).await.is_some() {
        let live = if prepared.load(Ordering::Relaxed) {
            // Syncs can be read from a database that takes no writes.
            let (crew, live) = match db.in_time(read(&db)).await {
                Ok((crew, live)) => (crew, live),
                Err(error) => (Err(error), Vec::new()),
            };
            record_tick(&situation, "watcher", &crew);
            situation.set_crew(crew.ok());
            live
        } else {
            Vec::new()
        };
        let waits = waits(&situation, &live);
        metrics.observe(&waits);
        situation.board().show(waits);
    }
}

async fn read(db: &Db) -> Result<(Result<Crew>, Vec<LiveSync>)> {
    let client = db.client().await?;
    let live = syncs::list_live(&client, MOST_SYNCS).await?;
    Ok((workers::crew(&client, WORKER_SEEN_WITHIN).await, live))
}

/// What the service waits for: the faults of its servers, and the waits of its syncs.
fn waits(situation: &Situation, live: &[LiveSync]) -> BTreeMap<WaitingFor, Wait> {
    let faults = [(WaitingFor::Broker, situation.broker_fault()), (WaitingFor::Database, situation.database_fault())];
    let mut waits: BTreeMap<WaitingFor, Wait> = faults
        .into_iter()
        .filter_map(|(what, fault)| Some((what, Wait { syncs: Some(0), ..Wait::from(fault?) })))
        .collect();
    for sync in live {
        let Some(wait) = situation.wait(sync.created_at, sync.direction, sync.open_job.as_ref()) else { continue };
        let shown = Wait { since: wait.since, error: wait.error, cause: None, syncs: Some(0) };
        let all = waits.entry(wait.what).or_insert_with(|| shown.clone());
        all.since = all.since.min(shown.since);
        all.syncs = all.syncs.map(|count| count + 1);
    }
    waits
}
