//! The effects of imports on a Label Studio: what its own syncs do beside writing tasks.
//!
//! Two loops share the ended syncs. One arranges overlap cohorts, which takes minutes in a project of millions of tasks. The
//! other one does all else, and meanwhile shows that those syncs still work.

use std::collections::HashMap;
use std::time::Duration;

use longshore_db::host::label_studio::{
    Cohort, DueEffects, DueExports, FollowingExport, arrange_cohort, deliver_batch, due_effects, due_exports,
    end_effects, end_exports, enqueue_export, export_storages, list_batches, overwritten_ends, show_effects, show_end,
};
use longshore_db::{Db, Error, Result};
use longshore_telemetry::{Backoff, error_chain};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Wake, record_tick};
use crate::situation::Situation;

/// The longest time between ticks. The end of a sync wakes the loops.
const PERIOD: Duration = Duration::from_secs(1);

/// Time between heartbeats of ended syncs. Label Studio takes a sync for dead after 25 s without one.
const BEAT: Duration = Duration::from_secs(5);

/// Attempts after which a cohort is given up. Meanwhile the storage cannot be synced again.
const MOST_ATTEMPTS: u32 = 5;

/// Waits between attempts at a cohort.
const WAITS: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

/// Failed attempts at the cohort of a sync. A new process counts again.
struct Failures {
    count: u32,
    due_at: Instant,
}

/// Arranges cohorts until stopped.
pub(crate) async fn arrange_cohorts(db: Db, situation: Situation, stop: CancellationToken) {
    let mut wake = Wake::on("longshore_syncs");
    let mut failures = HashMap::new();
    while wake.next_tick(&db, PERIOD, &stop).await {
        let tick = stop.run_until_cancelled(arrange_all(&db, &mut failures)).await;
        record_tick(&situation, "cohorts", &tick.unwrap_or(Ok(())));
    }
}

async fn arrange_all(db: &Db, failures: &mut HashMap<i64, Failures>) -> Result<()> {
    let due = with_cohort(db).await?;
    failures.retain(|sync, _| due.iter().any(|due| due.sync_id == *sync));
    let waits = |due: &DueEffects, failures: &HashMap<i64, Failures>| {
        failures.get(&due.sync_id).is_some_and(|failures| failures.due_at > Instant::now())
    };
    for due in due {
        if waits(&due, failures) {
            continue;
        }
        // Without a time limit for the whole: each of its batches has one.
        match arrange_cohort(db, &due).await {
            Ok(is_arranged) => {
                failures.remove(&due.sync_id);
                if is_arranged {
                    info!(
                        event = "cohort_arranged",
                        sync.id = due.sync_id,
                        project.id = due.project_id,
                        "overlap cohort of project {} arranged",
                        due.project_id
                    );
                }
            }
            Err(error) => record_failure(db, &due, error, failures).await?,
        }
    }
    Ok(())
}

/// All ended syncs whose projects have a cohort.
async fn with_cohort(db: &Db) -> Result<Vec<DueEffects>> {
    let mut all: Vec<DueEffects> = Vec::new();
    loop {
        let after = all.last().map_or(0, |due| due.sync_id);
        let more = db.in_time(async { due_effects(&db.client().await?, Cohort::With, after).await }).await?;
        if more.is_empty() {
            return Ok(all);
        }
        all.extend(more);
    }
}

/// Whether other work would fail, too. A statement that does not end may wait for one row only.
fn is_outage(error: &Error) -> bool {
    error.is_unavailable() && !matches!(error, Error::Silent)
}

/// Records a failed attempt at a cohort. Gives the cohort up after some, so that the sync ends.
async fn record_failure(db: &Db, due: &DueEffects, error: Error, failures: &mut HashMap<i64, Failures>) -> Result<()> {
    if is_outage(&error) {
        return Err(error);
    }
    let count = failures.get(&due.sync_id).map_or(0, |failures| failures.count) + 1;
    let error = error_chain(&error);
    if count < MOST_ATTEMPTS {
        warn!(
            event = "cohort_failed",
            sync.id = due.sync_id,
            project.id = due.project_id,
            error,
            "overlap cohort of project {} not arranged, trying again later",
            due.project_id
        );
    } else if db.in_time(async { end_effects(&mut db.client().await?, due).await }).await? {
        warn!(
            event = "cohort_given_up",
            sync.id = due.sync_id,
            project.id = due.project_id,
            attempts = count,
            error,
            "overlap cohort of project {} given up; the next sync of the project arranges it",
            due.project_id
        );
    }
    failures.insert(due.sync_id, Failures { count, due_at: Instant::now() + WAITS.wait(count - 1) });
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

/// Logs the failure of one sync's work. The work of others goes on, unless they would fail, too.
fn go_on<T>(sync_id: i64, result: Result<T>) -> Result<()> {
    match result {
        Err(error) if is_outage(&error) => Err(error),
        Err(error) => {
            warn!(
                event = "effects_failed",
                sync.id = sync_id,
                error = error_chain(&error),
                "effects of sync {sync_id} failed, retrying on the next tick"
            );
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// Makes whole deliveries, and ends the effects of syncs that need no cohort.
async fn end_all(db: &Db, beats: bool) -> Result<()> {
    for sync in db.in_time(async { list_batches(&db.client().await?).await }).await? {
        go_on(sync, db.in_time(async { deliver_batch(&mut db.client().await?, sync).await }).await)?;
    }
    let mut after = 0;
    loop {
        let due = db.in_time(async { due_effects(&db.client().await?, Cohort::Without, after).await }).await?;
        let Some(last) = due.last() else { break };
        after = last.sync_id;
        for due in &due {
            go_on(due.sync_id, db.in_time(async { end_effects(&mut db.client().await?, due).await }).await)?;
        }
    }
    if beats {
        for due in with_cohort(db).await? {
            go_on(due.sync_id, db.in_time(async { show_effects(&db.client().await?, &due).await }).await)?;
        }
        for sync in db.in_time(async { overwritten_ends(&db.client().await?).await }).await? {
            go_on(sync, db.in_time(async { show_end(&mut db.client().await?, sync).await }).await)?;
        }
    }
    Ok(())
}

/// Enqueues exports of annotations that imports brought.
async fn export_all(db: &Db) -> Result<()> {
    let mut after = 0;
    loop {
        let due = db.in_time(async { due_exports(&db.client().await?, after).await }).await?;
        let Some(last) = due.last() else { return Ok(()) };
        after = last.sync_id;
        for due in due {
            let exported = db.in_time(export(db, &due)).await;
            let is_given_up = due.is_late && exported.as_ref().is_err_and(|error| !is_outage(error));
            go_on(due.sync_id, exported)?;
            if is_given_up {
                drop_exports(db, &due).await?;
            }
        }
    }
}

/// Gives up the exports that are not enqueued yet.
async fn drop_exports(db: &Db, due: &DueExports) -> Result<()> {
    warn!(
        event = "following_export_dropped",
        sync.id = due.sync_id,
        project.id = due.project_id,
        "an export could not start for an hour after an import; sync the project's export storages to export the imported \
         annotations"
    );
    db.in_time(async { end_exports(&db.client().await?, due).await }).await?;
    // Others may be enqueued.
    db.wake_relay();
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
        return drop_exports(db, due).await;
    }
    end_exports(&client, due).await?;
    db.wake_relay();
    Ok(())
}
