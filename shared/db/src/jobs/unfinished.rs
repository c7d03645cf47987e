//! Numbers of unfinished jobs, for metrics. Only the database knows them; each process sees only its own jobs.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use longshore_model::{JobKind, JobState};

use crate::row::word;
use crate::{GenericClient, Result};

/// Number and age of the unfinished jobs of one kind and state.
#[derive(Debug, Clone, Copy)]
pub struct UnfinishedJobs {
    /// Kind of the jobs.
    pub kind: JobKind,
    /// `available`, `running` or `retryable`.
    pub state: JobState,
    /// Number of the jobs.
    pub count: i64,
    /// Seconds since the oldest of them became due; 0 if none is due.
    pub oldest_due_seconds: f64,
}

/// Counts unfinished jobs by kind and state. A kind and state without jobs has no entry.
pub async fn count_unfinished(client: &impl GenericClient) -> Result<Vec<UnfinishedJobs>> {
    let rows = client
        .query(
            "SELECT kind, state, count(*) AS count,
                    greatest(0, extract(epoch FROM now() - min(due_at)))::float8 AS oldest_due_seconds
               FROM jobs WHERE finished_at IS NULL GROUP BY kind, state",
            &[],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(UnfinishedJobs {
                kind: word(row, "kind")?,
                state: word(row, "state")?,
                count: row.get("count"),
                oldest_due_seconds: row.get("oldest_due_seconds"),
            })
        })
        .collect()
}
