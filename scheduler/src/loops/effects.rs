//! The effects of imports on a Label Studio: what its own syncs do beside writing tasks.
//!
//! Two loops share the ended syncs. One arranges overlap cohorts, which takes minutes in a project of millions of tasks. The
//! other one does all else, and meanwhile shows that those syncs still work.

use std::time::Duration;

use longshore_db::host::label_studio::{
    DueEffects, DueExports, FollowingExport, arrange_cohort, deliver_batch, due_effects, due_exports, end_effects,
    end_exports, enqueue_export, export_storages, list_batches, show_effects,
};
use longshore_db::{Db, Result};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Wake, record_tick};
use crate::situation::Situation;

/// The longest time between ticks. The end of a sync wakes the loops.
const PERIOD: Duration = Duration::from_secs(1);

/// Time between heartbeats of ended syncs. Label Studio takes a sync for dead after 25 s without one.
const BEAT: Duration = Duration::from_secs(5);

/// Arranges cohorts until stopped.
pub(crate) async fn arrange_cohorts(db: Db, situation: Situation, stop: CancellationToken) {
    let mut wake = Wake::on("longshore_syncs");
    while wake.next_tick(&db, PERIOD, &stop).await {
        let tick = stop.run_until_cancelled(arrange_all(&db)).await;
        record_tick(&situation, "cohorts", &tick.unwrap_or(Ok(())));
    }
}

async fn arrange_all(db: &Db) -> Result<()> {
    let due = db.in_time(async { due_effects(&db.client().await?).await }).await?;
    for due in due.iter().filter(|due| due.has_cohort) {
        // Without a time limit for the whole: each of its batches has one.
        if arrange_cohort(db, due).await? {
            info!(
                event = "cohort_arranged",
                sync.id = due.sync_id,
                project.id = due.project_id,
                "overlap cohort of project {} arranged",
                due.project_id
            );
        }
    }
    Ok(())
}

/// Does everything else until stopped.
pub(crate) async fn run(db: Db, situation: Situation, stop: CancellationToken) {
    let mut wake = Wake::on("longshore_syncs");
    let mut next_beat = Instant::now();
    while wake.next_tick(&db, PERIOD, &stop).await {
        let beats = next_beat <= Instant::now();
        if beats {
            next_beat = Instant::now() + BEAT;
        }
        record_tick(&situation, "effects", &end_all(&db, beats).await);
        record_tick(&situation, "following exports", &export_all(&db).await);
    }
}

/// Makes whole deliveries, and ends the effects of syncs that need no cohort.
async fn end_all(db: &Db, beats: bool) -> Result<()> {
    for sync in db.in_time(async { list_batches(&db.client().await?).await }).await? {
        db.in_time(async { deliver_batch(&mut db.client().await?, sync).await }).await?;
    }
    let due = db.in_time(async { due_effects(&db.client().await?).await }).await?;
    let (arranged, others): (Vec<DueEffects>, Vec<DueEffects>) = due.into_iter().partition(|due| due.has_cohort);
    for due in &others {
        db.in_time(async { end_effects(&mut db.client().await?, due).await }).await?;
    }
    for due in arranged.iter().filter(|_| beats) {
        db.in_time(async { show_effects(&db.client().await?, due).await }).await?;
    }
    Ok(())
}

/// Enqueues exports of annotations that imports brought.
async fn export_all(db: &Db) -> Result<()> {
    for due in db.in_time(async { due_exports(&db.client().await?).await }).await? {
        db.in_time(export(db, &due)).await?;
    }
    Ok(())
}

async fn export(db: &Db, due: &DueExports) -> Result<()> {
    let mut client = db.client().await?;
    let mut waits = false;
    for storage in export_storages(&client, due.project_id).await? {
        match enqueue_export(&mut client, due, storage).await? {
            FollowingExport::Enqueued => {}
            FollowingExport::Later => waits = true,
            FollowingExport::Refused(reason) => info!(
                event = "following_export_refused",
                sync.id = due.sync_id,
                storage.host_id = storage.host_id,
                reason,
                "the export after an import was refused"
            ),
        }
    }
    if waits && !due.is_late {
        return Ok(());
    }
    if waits {
        warn!(
            event = "following_export_dropped",
            sync.id = due.sync_id,
            project.id = due.project_id,
            "another sync has had an export storage for an hour; sync it to export the imported annotations"
        );
    }
    end_exports(&client, due).await?;
    db.wake_relay();
    Ok(())
}
