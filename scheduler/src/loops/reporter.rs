//! The reporter: writes the status and progress of each live sync to the host, and publishes both as an event.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use longshore_broker::{Broker, Publisher};
use longshore_db::host::Host;
use longshore_db::syncs::{self, SyncRow};
use longshore_db::{Db, Result};
use longshore_model::time;
use longshore_telemetry::error_chain;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{Wake, record_tick};
use crate::situation::Situation;

/// Syncs per transaction. It locks their storages, and a request for a sync of one of them waits: longer with a larger
/// batch. With a smaller one, a thousand live syncs would take more transactions per second.
const BATCH: i64 = 50;

/// Time between reports of progress. The end of a sync wakes the loop immediately.
const PERIOD: Duration = Duration::from_secs(1);

/// Reports syncs until stopped.
pub(crate) async fn run(db: Db, host: Arc<dyn Host>, broker: Broker, situation: Situation, stop: CancellationToken) {
    let publisher = broker.publisher();
    let mut wake = Wake::on("longshore_syncs");
    while wake.next_tick(&db, PERIOD, &stop).await {
        loop {
            // A failure delays no report: the counters try again.
            let settled = db.in_time(async { host.settle(&mut db.client().await?).await }).await;
            record_tick(&situation, "reporter", &settled);
            let reported = db.in_time(tick(&db, host.as_ref())).await;
            record_tick(&situation, "reporter", &reported);
            let Ok(reported) = reported else { break };
            publish_events(&broker, &publisher, &situation, &reported).await;
            if (reported.len() as i64) < BATCH || stop.is_cancelled() {
                break;
            }
        }
    }
}

async fn tick(db: &Db, host: &dyn Host) -> Result<Vec<SyncRow>> {
    let mut client = db.client().await?;
    let tx = client.transaction().await?;
    let syncs = syncs::lock_unreported(&tx, BATCH).await?;
    if syncs.is_empty() {
        return Ok(syncs);
    }
    // The first one prepares the statement. The others are sent together, without a wait for each answer.
    let (first, others) = syncs.split_at(1);
    let mut shown = try_join_all(first.iter().map(|sync| host.show_status(&tx, sync))).await?;
    shown.extend(try_join_all(others.iter().map(|sync| host.show_status(&tx, sync))).await?);
    // The next tick shows the others.
    let syncs: Vec<SyncRow> =
        syncs.into_iter().zip(shown).filter_map(|(sync, is_shown)| is_shown.then_some(sync)).collect();
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
            deleted_tasks = sync.counts.deleted_tasks,
            "sync ended"
        );
    }
    Ok(syncs)
}

/// Publishes `sync.<status>` events. An event that cannot be sent is dropped: the truth is in the table.
async fn publish_events(broker: &Broker, publisher: &Publisher, situation: &Situation, syncs: &[SyncRow]) {
    for sync in syncs {
        if !broker.is_publishable() {
            return;
        }
        let wait = situation.wait_of(sync);
        let event = json!({
            "version": 1,
            "sync": sync.id,
            "storage": sync.storage_id,
            "project": sync.project_id,
            "kind": sync.kind,
            "direction": sync.direction,
            "deletion": sync.deletion,
            "status": sync.status,
            "reason": sync.reason,
            "waiting_for": wait.as_ref().map(|wait| wait.what),
            "waiting_since": wait.as_ref().map(|wait| time::text(wait.since)),
            "waiting_error": wait.as_ref().map(|wait| &wait.error),
            "counts": sync.counts,
            "started_at": sync.started_at.map(time::text),
            "finished_at": sync.finished_at.map(time::text),
        });
        if let Err(error) = publisher.publish_event(&format!("sync.{}", sync.status), &event).await {
            debug!(event = "sync_event_dropped", sync.id = sync.id, error = error_chain(&error), "event dropped");
        }
    }
}
