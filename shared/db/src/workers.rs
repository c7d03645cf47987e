//! The `workers` table: the running workers and their slots.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::time::Duration;

use crate::{Error, GenericClient, Result};

/// Records that a worker is running, with this many slots for import jobs.
pub async fn register(client: &impl GenericClient, name: &str, slots: i32) -> Result<()> {
    client
        .execute(
            "INSERT INTO workers (name, slots) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, seen_at = now()",
            &[&name, &slots],
        )
        .await?;
    Ok(())
}

/// Removes a worker that stops, and workers that did not register for an hour.
pub async fn deregister(client: &impl GenericClient, name: &str) -> Result<()> {
    client.execute("DELETE FROM workers WHERE name = $1 OR seen_at < now() - interval '1 hour'", &[&name]).await?;
    Ok(())
}

/// Whether the database takes writes.
///
/// # Errors
/// [`Error::ReadOnly`] if it is a standby, or if an operator made it read-only.
pub async fn can_write(client: &impl GenericClient) -> Result<()> {
    let row = client.query_one("SELECT current_setting('transaction_read_only')::boolean", &[]).await?;
    if row.get(0) { Err(Error::ReadOnly) } else { Ok(()) }
}

/// Import jobs, and the slots for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Slots of the workers that registered within the given time.
    pub slots: i64,
    /// Jobs that run or are due.
    pub jobs: i64,
}

/// Counts import jobs, and the slots of workers that registered within `seen_within`.
pub async fn load(client: &impl GenericClient, seen_within: Duration) -> Result<Load> {
    let statement = client
        .prepare_cached(
            "SELECT (SELECT coalesce(sum(slots), 0) FROM workers
                      WHERE seen_at > now() - $1::float8 * interval '1 second') AS slots,
                    (SELECT count(*) FROM jobs
                      WHERE finished_at IS NULL AND kind = 'import' AND (state = 'running' OR due_at <= now())) AS jobs",
        )
        .await?;
    let row = client.query_one(&statement, &[&seen_within.as_secs_f64()]).await?;
    Ok(Load { slots: row.get("slots"), jobs: row.get("jobs") })
}
