//! The `workers` table: the running workers and their slots.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::time::Duration;

use jiff::Timestamp;

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

/// The running workers and their slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crew {
    /// Workers that registered within the given time.
    pub workers: i64,
    /// Their slots for import jobs. There are as many for export jobs.
    pub slots: i64,
    /// When a worker last registered. `None` if all of them stopped in order.
    pub last_seen_at: Option<Timestamp>,
    /// Running import jobs.
    pub imports: i64,
    /// Running export and delete jobs.
    pub exports: i64,
}

/// Counts the workers that registered within `seen_within`, and the running jobs.
///
/// # Errors
/// [`Error::ReadOnly`] if the database takes no writes.
pub async fn crew(client: &impl GenericClient, seen_within: Duration) -> Result<Crew> {
    let statement = client
        .prepare_cached(
            "SELECT current_setting('transaction_read_only')::boolean AS is_read_only, w.workers, w.slots, w.last_seen_at,
                    j.imports, j.exports
               FROM (SELECT count(*) FILTER (WHERE is_live) AS workers,
                            coalesce(sum(slots) FILTER (WHERE is_live), 0) AS slots, max(seen_at) AS last_seen_at
                       FROM (SELECT slots, seen_at, seen_at > now() - $1::float8 * interval '1 second' AS is_live
                               FROM workers) seen) w,
                    (SELECT count(*) FILTER (WHERE kind = 'import') AS imports,
                            count(*) FILTER (WHERE kind <> 'import') AS exports
                       FROM jobs WHERE finished_at IS NULL AND state = 'running') j",
        )
        .await?;
    let row = client.query_one(&statement, &[&seen_within.as_secs_f64()]).await?;
    if row.get("is_read_only") {
        return Err(Error::ReadOnly);
    }
    Ok(Crew {
        workers: row.get("workers"),
        slots: row.get("slots"),
        last_seen_at: row.get("last_seen_at"),
        imports: row.get("imports"),
        exports: row.get("exports"),
    })
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
