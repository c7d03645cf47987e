//! Whether this worker can write the tables of its host. Checked before it takes the first job.

use std::time::Duration;

use anyhow::{Result, anyhow};
use longshore_db::host::{HostKind, label_studio};
use tokio::time::sleep;
use tracing::debug;

use crate::context::Context;

/// Pause before an unavailable database is asked again: as in the scheduler's preparation.
const PAUSE: Duration = Duration::from_secs(1);

/// Checks the version of Label Studio. Waits for the database without a limit, and returns early if the process is
/// stopped. The native host has no version.
///
/// # Errors
/// The host is not supported.
pub(crate) async fn check(context: &Context) -> Result<()> {
    if context.config.host == HostKind::Native {
        return Ok(());
    }
    loop {
        let faults = async { label_studio::faults(&context.db.client().await?).await };
        match context.db.in_time(faults).await {
            Ok(faults) if faults.is_empty() => return Ok(()),
            Ok(faults) => return Err(anyhow!("LONGSHORE_HOST=label-studio: {}", faults.join(" "))),
            // The board of waits warns once a minute.
            Err(error) => {
                let error = context.db.address().explain(&error);
                debug!(event = "database_not_ready", error, "database not ready, retrying");
            }
        }
        if context.stop.run_until_cancelled(sleep(PAUSE)).await.is_none() {
            return Ok(());
        }
    }
}
