//! Leases: the right of an attempt to write to its job, for a limited time.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::time::Duration;

use tokio_postgres::Row;
use uuid::Uuid;

use crate::{GenericClient, Result};

/// The right to write to a job, until another attempt claims it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// ID of the job.
    pub job: i64,
    /// Number of this claim of the job.
    pub attempt: i32,
    /// Random, made by the database for each claim.
    pub token: Uuid,
}

/// Reads a row of job, attempt and token.
fn read(row: &Row) -> Lease {
    Lease { job: row.get(0), attempt: row.get(1), token: row.get(2) }
}

/// Extends leases and returns those that are still valid; the others are lost.
///
/// A job whose row is locked keeps its current lease: the lock is usually a commit of the same attempt, which extends
/// the lease as well. Waiting for one locked row would let all other leases expire.
pub async fn heartbeat(client: &impl GenericClient, leases: &[Lease], lease: Duration) -> Result<Vec<Lease>> {
    let jobs: Vec<i64> = leases.iter().map(|lease| lease.job).collect();
    let attempts: Vec<i32> = leases.iter().map(|lease| lease.attempt).collect();
    let tokens: Vec<Uuid> = leases.iter().map(|lease| lease.token).collect();
    let rows = client
        .query(
            "WITH held AS (
                 SELECT h.job, h.attempt, h.token
                   FROM unnest($1::bigint[], $2::int[], $3::uuid[]) AS h (job, attempt, token)
             ), free AS (
                 SELECT j.id FROM held h JOIN jobs j
                     ON j.id = h.job AND j.attempt = h.attempt AND j.token = h.token AND j.state = 'running'
                    FOR UPDATE OF j SKIP LOCKED
             ), extended AS (
                 UPDATE jobs j SET lease_until = now() + $4::float8 * interval '1 second'
                   FROM free WHERE j.id = free.id
             )
             SELECT h.job, h.attempt, h.token FROM held h JOIN jobs j
                 ON j.id = h.job AND j.attempt = h.attempt AND j.token = h.token AND j.state = 'running'",
            &[&jobs, &attempts, &tokens, &lease.as_secs_f64()],
        )
        .await?;
    Ok(rows.iter().map(read).collect())
}

/// Jobs leased to a worker process under tokens that it does not know, because the answers to its claims were lost.
pub async fn unknown_leases(client: &impl GenericClient, process: Uuid, known: &[Lease]) -> Result<Vec<Lease>> {
    let known: Vec<Uuid> = known.iter().map(|lease| lease.token).collect();
    let statement = client
        .prepare_cached(
            "SELECT id, attempt, token FROM jobs
              WHERE finished_at IS NULL AND state = 'running' AND process = $1 AND NOT token = ANY ($2)",
        )
        .await?;
    let rows = client.query(&statement, &[&process, &known]).await?;
    Ok(rows.iter().map(read).collect())
}
