//! The `jobs` table: one row per key range (import) or ID range (export).
//!
//! A running attempt writes with its [`Lease`]; module `fence` explains what each commit checks. All times are of the
//! database clock, so the clocks of two machines are never compared.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

mod alone;
mod end;
mod fence;
mod lease;
mod progress;
mod relist;
mod unfinished;
mod waiting;

use longshore_model::{JobKind, JobState};

use crate::bounded::bounded;
use crate::row::word;
use crate::{Bounded, Counts, GenericClient, Result};

pub use alone::{mark_alone, mark_lone_key};
pub(crate) use end::{cancel_others, cancel_unfinished, end, lock_of_storage, lock_unfinished};
pub use fence::{Fence, hold, hold_at};
pub use lease::{Heartbeat, Lease, heartbeat, unknown_leases};
pub use progress::Progress;
pub(crate) use progress::advance;
pub(crate) use relist::{forget_listing, widen};
pub use unfinished::{UnfinishedJobs, count_unfinished};
pub use waiting::{JobWait, OpenJob, WaitChange};

/// A job as the API shows it.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// ID of the job. Written by `enqueue`, `record_page` (a split) or `add_delete_job`.
    pub id: i64,
    /// What the job does. Never changes.
    pub kind: JobKind,
    /// State of the job; the README has the chart. Written by the functions of [`crate::lifecycle`].
    pub state: JobState,
    /// Number of claims so far. Written by `claim`; only grows.
    pub attempt: i32,
    /// Failures in a row without progress. Raised by `retry_later`, cleared by a page that made progress.
    pub failures: i32,
    /// Where the next page starts; opaque outside the storage adapter. `None` before the first page. Written by
    /// `record_page`.
    pub cursor: Option<String>,
    /// Why the job was discarded, or why its latest attempt ended early: a word of `FailureReason`. `None` if neither
    /// happened. Written by `discard`, `retry_later` and `rescue_expired`, cleared by `release` and `complete`.
    pub reason: Option<String>,
    /// The reason in sentences for users. `None` if `reason` is `None`.
    pub detail: Option<String>,
    /// What the job did so far, over all attempts. Written by `record_page`.
    pub counts: Counts,
}

/// At most `limit` jobs of a sync with a larger ID than `after`, in the order of their IDs, as far as they fit into
/// `most` bytes.
pub async fn of_sync(
    client: &impl GenericClient,
    sync_id: i64,
    after: i64,
    limit: i64,
    most: i64,
) -> Result<Bounded<JobRow>> {
    let page = "SELECT * FROM jobs WHERE sync_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    let shown = format!(
        "id, kind, state, attempt, failures, cursor, reason, detail, {}",
        Counts::COLUMNS.replace("j.", "kept.")
    );
    let text = bounded(page, "1024 + coalesce(octet_length(detail), 0)", "id", &shown, "$4");
    let rows = client.query(&text, &[&sync_id, &after, &limit, &most]).await?;
    Bounded::read(&rows, |row| {
        Ok(JobRow {
            id: row.get("id"),
            kind: word(row, "kind")?,
            state: word(row, "state")?,
            attempt: row.get("attempt"),
            failures: row.get("failures"),
            cursor: row.get("cursor"),
            reason: row.get("reason"),
            detail: row.get("detail"),
            counts: Counts::of(row),
        })
    })
}
