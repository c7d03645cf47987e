//! The reporter: shows each live sync's status and progress to the host, and tells it as an event.

use longshore_telemetry::error_chain;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use longshore_broker::{Broker, Publisher};
use longshore_db::host::Host;
use longshore_db::syncs::{self, SyncRow};
use longshore_db::{Db, Result};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{Wake, round_failed};

/// Syncs per transaction. Their storages are locked meanwhile, and a caller who asks for a sync of one waits: longer
/// with more; with fewer, a thousand live syncs take more transactions a second.
const BATCH: i64 = 50;

/// How often progress is shown; the end of a sync wakes the loop at once.
const PERIOD: Duration = Duration::from_secs(1);

/// Reports until stopped.
pub(crate) async fn run(db: Db, host: Arc<dyn Host>, broker: Broker, stop: CancellationToken) {
    let publisher = broker.publisher();
    let mut wake = Wake::on("longshore_syncs");
    while wake.next(&db, PERIOD, &stop).await {
        loop {
            match db.in_time(round(&db, host.as_ref())).await {
                Ok(shown) => {
                    tell(&broker, &publisher, &shown).await;
                    if (shown.len() as i64) < BATCH || stop.is_cancelled() {
                        break;
                    }
                }
                Err(error) => {
                    round_failed("reporter", &error);
                    break;
                }
            }
        }
    }
}

async fn round(db: &Db, host: &dyn Host) -> Result<Vec<SyncRow>> {
    let mut client = db.client().await?;
    let tx = client.transaction().await?;
    let syncs = syncs::lock_unreported(&tx, BATCH).await?;
    if syncs.is_empty() {
        return Ok(syncs);
    }
    // The first by itself, which prepares the statement; the others without waiting for each other's answers.
    let (first, others) = syncs.split_at(1);
    try_join_all(first.iter().map(|sync| host.show_status(&tx, sync))).await?;
    try_join_all(others.iter().map(|sync| host.show_status(&tx, sync))).await?;
    syncs::mark_reported(&tx, &syncs).await?;
    tx.commit().await?;
    for sync in syncs.iter().filter(|sync| sync.finished_at.is_some()) {
        info!(
            event = "sync_ended",
            sync.id = sync.id,
            storage.id = sync.storage_id,
            status = sync.status.as_str(),
            created = sync.counts.created,
            exported = sync.counts.exported,
            quarantined = sync.counts.quarantined,
            "sync ended"
        );
    }
    Ok(syncs)
}

/// Publishes `sync.<status>` events. They are news, not the truth: one that cannot be sent is dropped.
async fn tell(broker: &Broker, publisher: &Publisher, syncs: &[SyncRow]) {
    for sync in syncs {
        if !broker.is_connected() {
            return;
        }
        let event = json!({
            "version": 1,
            "sync": sync.id,
            "storage": sync.storage_id,
            "project": sync.project_id,
            "kind": sync.kind,
            "direction": sync.direction,
            "status": sync.status,
            "reason": sync.reason,
            "counts": sync.counts,
            "started_at": sync.started_at,
            "finished_at": sync.finished_at,
        });
        if let Err(error) = publisher.publish_event(&format!("sync.{}", sync.status), &event).await {
            debug!(event = "sync_event_dropped", sync.id = sync.id, error = error_chain(&error), "event dropped");
        }
    }
}
