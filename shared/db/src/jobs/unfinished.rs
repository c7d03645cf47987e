//! Unfinished jobs in numbers, for the metrics that no single process can know.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use longshore_model::{JobKind, JobState};

use crate::row::word;
use crate::{GenericClient, Result};

/// Unfinished jobs of one kind and state.
#[derive(Debug, Clone, Copy)]
pub struct UnfinishedJobs {
    /// What the jobs do.
    pub kind: JobKind,
    /// `available`, `running` or `retryable`.
    pub state: JobState,
    /// How many there are.
    pub count: i64,
    /// Seconds since the oldest of them became due; 0 if none is due.
    pub oldest_due_seconds: f64,
}

/// Unfinished jobs by kind and state.
pub async fn unfinished(client: &impl GenericClient) -> Result<Vec<UnfinishedJobs>> {
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
