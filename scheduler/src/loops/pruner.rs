//! The pruner: removes syncs that ended long ago, with their jobs. Ledger and quarantine stay.

use std::time::Duration;

use longshore_db::{Db, syncs};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::round_failed;

/// Between rounds; each removes at most a thousand syncs, so that its transaction stays short.
const PERIOD: Duration = Duration::from_secs(600);

/// Prunes until stopped.
pub(crate) async fn run(db: Db, keep_days: i32, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
        let pruned = async { syncs::prune(&db.client().await?, keep_days).await };
        match db.in_time(pruned).await {
            Ok(0) => {}
            Ok(count) => info!(event = "syncs_pruned", syncs = count, "old syncs removed"),
            Err(error) => round_failed("pruner", &error),
        }
    }
}
