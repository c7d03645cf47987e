//! Leases: the right of an attempt to write to its job, for a limited time.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::time::Duration;

use tokio_postgres::Row;
use uuid::Uuid;

use super::waiting::{JobWait, WaitChange};
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

/// The sign of life of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The lease to extend.
    pub lease: Lease,
    /// What the attempt waits for.
    pub wait: WaitChange,
}

/// Extends leases, records what their attempts wait for, and returns the leases that are still valid; the others are
/// lost.
///
/// A job whose row is locked keeps its current lease: the lock is usually a commit of the same attempt, which extends
/// the lease as well. Waiting for one locked row would let all other leases expire.
pub async fn heartbeat(client: &impl GenericClient, beats: &[Heartbeat], lease: Duration) -> Result<Vec<Lease>> {
    let jobs: Vec<i64> = beats.iter().map(|beat| beat.lease.job).collect();
    let attempts: Vec<i32> = beats.iter().map(|beat| beat.lease.attempt).collect();
    let tokens: Vec<Uuid> = beats.iter().map(|beat| beat.lease.token).collect();
    let clears: Vec<bool> = beats.iter().map(|beat| beat.wait == WaitChange::Clear).collect();
    let waits: Vec<Option<&JobWait>> = beats.iter().map(|beat| beat.wait.set()).collect();
    let words: Vec<Option<&str>> = waits.iter().map(|wait| wait.map(|wait| wait.what.as_str())).collect();
    let ages: Vec<Option<f64>> = waits.iter().map(|wait| wait.map(|wait| wait.age.as_secs_f64())).collect();
    let errors: Vec<Option<String>> = waits.iter().map(|wait| wait.and_then(JobWait::stored_error)).collect();
    let rows = client
        .query(
            "WITH held AS (
                 SELECT h.job, h.attempt, h.token, h.clears, h.what, h.age, h.error
                   FROM unnest($1::bigint[], $2::int[], $3::uuid[], $5::boolean[], $6::text[], $7::float8[], $8::text[])
                     AS h (job, attempt, token, clears, what, age, error)
             ), free AS (
                 SELECT j.id, h.clears, h.what, h.age, h.error FROM held h JOIN jobs j
                     ON j.id = h.job AND j.attempt = h.attempt AND j.token = h.token AND j.state = 'running'
                    FOR UPDATE OF j SKIP LOCKED
             ), extended AS (
                 UPDATE jobs j
                    SET lease_until = now() + $4::float8 * interval '1 second',
                        waiting_for = CASE WHEN free.clears THEN NULL ELSE coalesce(free.what, j.waiting_for) END,
                        waiting_since = CASE WHEN free.clears THEN NULL
                                             WHEN free.what IS NULL OR free.what = j.waiting_for THEN j.waiting_since
                                             ELSE clock_timestamp() - free.age * interval '1 second' END,
                        waiting_error = CASE WHEN free.clears THEN NULL
                                             WHEN free.what IS NULL OR free.what = j.waiting_for
                                             THEN coalesce(free.error, j.waiting_error)
                                             ELSE free.error END
                   FROM free WHERE j.id = free.id
             )
             SELECT h.job, h.attempt, h.token FROM held h JOIN jobs j
                 ON j.id = h.job AND j.attempt = h.attempt AND j.token = h.token AND j.state = 'running'",
            &[&jobs, &attempts, &tokens, &lease.as_secs_f64(), &clears, &words, &ages, &errors],
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
