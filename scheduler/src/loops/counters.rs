//! The counters: adds what pages recorded to the summaries of Label Studio's projects.
//!
//! A summary is one row for each project. If each page changed it, pages of all workers would wait for each other.

use std::time::Duration;

use longshore_db::host::label_studio::{Checked, check_summary, fold};
use longshore_db::{Db, Result};
use tokio_util::sync::CancellationToken;
use tracing::info;

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
    check_one(db).await
}

/// Compares the summary of one project with its tasks.
async fn check_one(db: &Db) -> Result<()> {
    let checked = db.in_time(async { check_summary(&mut db.client().await?).await }).await?;
    if let Some(Checked { project_id, is_corrected: true }) = checked {
        info!(
            event = "summary_corrected",
            project.id = project_id,
            "Label Studio had undone additions to the summary of project {project_id}, which are made again"
        );
    }
    Ok(())
}
