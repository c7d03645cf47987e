//! The pruner: deletes old syncs and their jobs. The ledger and the quarantine stay.

use std::time::Duration;

use longshore_db::{Db, syncs};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::log_failed_tick;

/// Time between ticks. Each tick deletes at most 1,000 syncs, so that its transaction stays short.
const PERIOD: Duration = Duration::from_secs(600);

/// Deletes syncs that ended more than `keep_days` days ago, until stopped.
pub(crate) async fn run(db: Db, keep_days: i32, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
        let pruned = async { syncs::prune(&db.client().await?, keep_days).await };
        match db.in_time(pruned).await {
            Ok(0) => {}
            Ok(count) => info!(event = "syncs_pruned", syncs = count, "old syncs deleted"),
            Err(error) => log_failed_tick("pruner", &error),
        }
    }
}
