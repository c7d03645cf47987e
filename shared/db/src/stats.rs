//! What the tables hold, for the metrics that no single process can know.

use crate::GenericClient;
use longshore_model::{JobKind, JobState};

use crate::Result;
use crate::row::word;

/// Unfinished jobs of one kind and state.
#[derive(Debug, Clone, Copy)]
pub struct JobStats {
    pub kind: JobKind,
    pub state: JobState,
    pub count: i64,
    /// Seconds since the oldest of them became due.
    pub oldest_due_seconds: f64,
}

/// Unfinished jobs by kind and state.
///
/// # Errors
/// The database is away.
pub async fn jobs(client: &impl GenericClient) -> Result<Vec<JobStats>> {
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
            Ok(JobStats {
                kind: word(row, "kind")?,
                state: word(row, "state")?,
                count: row.get("count"),
                oldest_due_seconds: row.get("oldest_due_seconds"),
            })
        })
        .collect()
}

/// Messages that wait to be sent.
///
/// # Errors
/// The database is away.
pub async fn outbox(client: &impl GenericClient) -> Result<i64> {
    Ok(client.query_one("SELECT count(*) FROM outbox WHERE due_at <= now()", &[]).await?.get(0))
}
