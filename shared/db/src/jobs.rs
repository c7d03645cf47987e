//! The `jobs` table: one row a key range, one function a statement.
//!
//! A running attempt writes through its [`Lease`]; see module `fence` for what a commit states. Time is the database's
//! alone; no two machines' clocks are compared.

mod alone;
mod end;
mod fence;
mod lease;
mod progress;
mod unfinished;

use longshore_model::{JobKind, JobState};

use crate::bounded::bounded;
use crate::row::word;
use crate::{Bounded, Counts, GenericClient, Result};

pub use alone::{runs_alone, works_on};
pub(crate) use end::{cancel_unfinished, end, lock_of_storage};
pub use fence::{Fence, hold, hold_at};
pub use lease::{Lease, heartbeat, unknown_leases};
pub use progress::Progress;
pub(crate) use progress::advance;
pub use unfinished::{UnfinishedJobs, unfinished};

/// A job as progress shows it.
#[derive(Debug, Clone)]
pub struct JobRow {
    pub id: i64,
    pub kind: JobKind,
    pub state: JobState,
    pub attempt: i32,
    pub failures: i32,
    pub cursor: Option<String>,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub counts: Counts,
}

/// At most `limit` jobs of a sync with a larger ID than `after`, in the order of their making, as far as they fit into
/// `most` bytes.
///
/// # Errors
/// The database is unavailable.
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
