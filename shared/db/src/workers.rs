//! The `workers` table: who works, and how much at once.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::time::Duration;

use crate::GenericClient;

use crate::{Error, Result};

/// Writes that a worker is running, with this many slots for import jobs.
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

/// Removes a worker that stops, and those that were last seen an hour ago.
pub async fn remove(client: &impl GenericClient, name: &str) -> Result<()> {
    client.execute("DELETE FROM workers WHERE name = $1 OR seen_at < now() - interval '1 hour'", &[&name]).await?;
    Ok(())
}

/// Whether the database takes writes.
///
/// # Errors
/// [`Error::ReadOnly`] from a standby, or where an operator allows reads alone.
pub async fn can_write(client: &impl GenericClient) -> Result<()> {
    let row = client.query_one("SELECT current_setting('transaction_read_only')::boolean", &[]).await?;
    if row.get(0) { Err(Error::ReadOnly) } else { Ok(()) }
}

/// How import jobs and the slots for them stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Slots of workers seen within the given time.
    pub slots: i64,
    /// Jobs that hold a slot, or are due and will.
    pub jobs: i64,
}

/// How many import jobs there are for how many slots.
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
