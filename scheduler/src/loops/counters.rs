//! The counters: adds what pages recorded to the summaries of Label Studio's projects.
//!
//! A summary is one row for each project. If each page changed it, pages of all workers would wait for each other.

use std::time::Duration;

use longshore_db::host::label_studio::fold;
use longshore_db::{Db, Result};
use tokio_util::sync::CancellationToken;

use super::record_tick;
use crate::situation::Situation;

/// Time between ticks. Filters of the Data Manager find new columns this late; with a shorter time, the summary is
/// locked more often.
const PERIOD: Duration = Duration::from_secs(2);

/// Adds to summaries until stopped.
pub(crate) async fn run(db: Db, situation: Situation, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
        record_tick(&situation, "counters", &tick(&db, &stop).await);
    }
}

/// Adds all that is recorded, one project after the other.
async fn tick(db: &Db, stop: &CancellationToken) -> Result<()> {
    while !stop.is_cancelled() {
        if !db.in_time(async { fold(&mut db.client().await?).await }).await? {
            break;
        }
    }
    Ok(())
}
