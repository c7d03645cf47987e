//! The counters: adds what pages recorded to the summaries of Label Studio's projects.
//!
//! A summary is one row for each project. If each page changed it, pages of all workers would wait for each other.

use std::time::Duration;

use longshore_db::host::label_studio::{Checked, check_summary, fold, next_to_fold};
use longshore_db::{Db, Error, Result};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::record_tick;
use crate::situation::Situation;

/// Time between ticks. Filters of the Data Manager find new columns this late; with a shorter time, the summary is
/// locked more often.
const PERIOD: Duration = Duration::from_secs(2);

/// The longest comparison of a summary: it reads all tasks and annotations of a project.
const LONGEST_CHECK: Duration = Duration::from_secs(9 * 60);

/// Adds to summaries and compares them until stopped.
pub(crate) async fn run(db: Db, situation: Situation, stop: CancellationToken) {
    tokio::join!(add(&db, &situation, &stop), compare(&db, &situation, &stop));
}

async fn add(db: &Db, situation: &Situation, stop: &CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
        add_all(db, situation, stop).await;
    }
    // What is recorded stays until a scheduler starts again, which may be never.
    add_all(db, situation, &CancellationToken::new()).await;
}

/// Adds all that is recorded, one project after the other. A project that fails delays no other one.
async fn add_all(db: &Db, situation: &Situation, stop: &CancellationToken) {
    let mut done = Vec::new();
    while !stop.is_cancelled() {
        let next = db.in_time(async { next_to_fold(&db.client().await?, &done).await }).await;
        let folded = match &next {
            Ok(Some(project)) => db.in_time(async { fold(&mut db.client().await?, *project).await }).await,
            Ok(None) | Err(_) => return record_tick(situation, "counters", &next),
        };
        if let (Err(_) | Ok(false), Ok(Some(project))) = (&folded, next) {
            done.push(project);
        }
        record_tick(situation, "counters", &folded);
    }
}

async fn compare(db: &Db, situation: &Situation, stop: &CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
        let checked = stop.run_until_cancelled(check_one(db)).await;
        record_tick(situation, "summaries", &checked.unwrap_or(Ok(())));
    }
}

/// Compares the summary of one project with its tasks.
async fn check_one(db: &Db) -> Result<()> {
    let checking = async { check_summary(&mut db.client().await?).await };
    let checked = tokio::time::timeout(LONGEST_CHECK, checking).await.unwrap_or(Err(Error::Silent))?;
    if let Some(Checked { project_id, is_corrected: true }) = checked {
        info!(
            event = "summary_corrected",
            project.id = project_id,
            "Label Studio had undone additions to the summary of project {project_id}, which are made again"
        );
    }
    Ok(())
}
