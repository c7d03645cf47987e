//! The pruner: deletes old syncs with their jobs, and old audit entries. The ledger and the quarantine stay.

use std::time::Duration;

use longshore_db::{Db, Result, audit, scanned_keys, syncs};
use prometheus::{IntCounter, Registry};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::log_failed_tick;

/// Time between ticks. Each tick deletes all old syncs, a thousand per transaction.
const PERIOD: Duration = Duration::from_secs(600);

/// The most batches of audit entries of one tick: 100,000 entries. So more can be deleted than denied requests write.
const AUDIT_BATCHES: usize = 100;

/// Keys of ended listings per statement. On an old disk, more may take longer than a statement may.
const SCANNED_KEYS: i64 = 50_000;

/// Days after which rows are deleted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    pub(crate) sync_days: i32,
    pub(crate) audit_days: i32,
}

/// Makes and registers the counter of deleted audit entries.
pub(crate) fn counter(registry: &Registry) -> prometheus::Result<IntCounter> {
    let pruned = IntCounter::new("longshore_audit_entries_pruned_total", "Old audit entries deleted.")?;
    registry.register(Box::new(pruned.clone()))?;
    Ok(pruned)
}

/// Deletes old rows until stopped, for the first time at the start.
pub(crate) async fn run(db: Db, retention: Retention, pruned: IntCounter, stop: CancellationToken) {
    loop {
        match prune_syncs(&db, retention.sync_days, &stop).await {
            Ok(0) => {}
            Ok(count) => info!(event = "syncs_pruned", syncs = count, "old syncs deleted"),
            Err(error) => log_failed_tick("pruner", &error),
        }
        match prune_audit(&db, retention.audit_days, &pruned, &stop).await {
            Ok(0) => {}
            Ok(count) => info!(event = "audit_pruned", audit.entries = count, "old audit entries deleted"),
            Err(error) => log_failed_tick("pruner", &error),
        }
        if stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_none() {
            return;
        }
    }
}

async fn prune_audit(db: &Db, keep_days: i32, pruned: &IntCounter, stop: &CancellationToken) -> Result<u64> {
    let mut all = 0;
    for _ in 0..AUDIT_BATCHES {
        let count = db.in_time(async { audit::prune(&db.client().await?, keep_days).await }).await?;
        pruned.inc_by(count);
        all += count;
        // Not a full batch: a recent entry may be among the oldest IDs, if its transaction took long.
        if count == 0 || stop.is_cancelled() {
            break;
        }
    }
    Ok(all)
}

/// Deletes all old syncs, however many there are, and keys that ended listings left. Returns the number of syncs.
async fn prune_syncs(db: &Db, keep_days: i32, stop: &CancellationToken) -> Result<i64> {
    let (mut deleted, mut after) = (0, Some(0));
    while let Some(from) = after.filter(|_| !stop.is_cancelled()) {
        let pruned = db.in_time(async { syncs::prune(&db.client().await?, keep_days, from).await }).await?;
        deleted += pruned.deleted;
        after = pruned.next;
    }
    while !stop.is_cancelled() {
        let pruned = db.in_time(async { scanned_keys::prune(&db.client().await?, SCANNED_KEYS).await }).await?;
        if pruned == 0 {
            break;
        }
    }
    Ok(deleted)
}
