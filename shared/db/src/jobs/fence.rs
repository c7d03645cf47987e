//! The fence: whether an attempt still owns its job, and the job is still as the attempt knows it.
//!
//! `(job, attempt)` alone is not enough. A database that lost its latest commits in a failover hands out the same
//! attempt again, and a worker that goes on behind a cursor which the database no longer knows would leave a gap. So
//! a claim gets a random token from the database, and each commit also states how many pages were committed and where
//! the last one ended.

use std::time::Duration;

use crate::GenericClient;
use uuid::Uuid;

use crate::{Counts, Error, Result, Transaction};

/// The right to write to a job, until another attempt claims it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    pub job: i64,
    /// Counts claims of the job.
    pub attempt: i32,
    /// Made by the database at the claim.
    pub token: Uuid,
}

/// What an attempt knows of its job, which a commit states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    pub lease: Lease,
    /// Pages committed so far, over all attempts.
    pub commits: i64,
    /// Where the last of them ended.
    pub cursor: Option<String>,
}

impl Fence {
    /// The fence after one more commit, which moved the cursor or (`None`) left it.
    pub fn committed(&mut self, cursor: Option<&str>) {
        self.commits += 1;
        if let Some(cursor) = cursor {
            self.cursor = Some(cursor.to_owned());
        }
    }
}

/// Extends leases and returns those that still hold; the others are lost.
///
/// A job whose row another transaction holds keeps the lease it has: that transaction is mostly a commit of the same
/// attempt, which extends it too. Waiting would let all other leases expire behind one locked row.
///
/// # Errors
/// The database is unavailable.
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
    Ok(rows.iter().map(|row| Lease { job: row.get(0), attempt: row.get(1), token: row.get(2) }).collect())
}

/// Locks the job for the rest of the transaction, if the attempt still owns it. Returns the failures in a row so far.
///
/// Enough to give the job back, which is right wherever its cursor is. A commit of a page calls [`hold_at`].
///
/// # Errors
/// [`Error::LeaseLost`] if another attempt has the job or it was cancelled.
pub async fn hold(tx: &Transaction<'_>, lease: Lease) -> Result<i32> {
    let statement = tx
        .prepare_cached(
            "SELECT failures FROM jobs WHERE id = $1 AND attempt = $2 AND token = $3 AND state = 'running' FOR UPDATE",
        )
        .await?;
    let held = tx.query_opt(&statement, &[&lease.job, &lease.attempt, &lease.token]).await?;
    held.map(|row| row.get(0)).ok_or(Error::LeaseLost)
}

/// Locks the job for the rest of the transaction, if the attempt still owns it and the job is as the attempt knows it.
///
/// Call it before the first write of a page. Until the transaction ends no other worker can claim the job. Returns
/// the failures in a row so far.
///
/// # Errors
/// [`Error::LeaseLost`] if another attempt has the job or it was cancelled, and [`Error::CommitsLost`] if the database
/// is older than what it told this attempt: it was replaced by one that lacks recent commits.
pub async fn hold_at(tx: &Transaction<'_>, fence: &Fence) -> Result<i32> {
    let statement = tx
        .prepare_cached("SELECT failures, commits, cursor, token, attempt, state FROM jobs WHERE id = $1 FOR UPDATE")
        .await?;
    let lease = fence.lease;
    let Some(row) = tx.query_opt(&statement, &[&lease.job]).await? else { return Err(Error::LeaseLost) };
    let attempt: i32 = row.get("attempt");
    let same_claim = attempt == lease.attempt && row.get::<_, Option<Uuid>>("token") == Some(lease.token);
    let same_page = row.get::<_, i64>("commits") == fence.commits
        && row.get::<_, Option<&str>>("cursor") == fence.cursor.as_deref();
    if same_claim && same_page && row.get::<_, &str>("state") == "running" {
        return Ok(row.get("failures"));
    }
    // Claims and commits only grow in number. Fewer than this attempt saw, another token under the same number, or
    // another page in the middle of the same claim: the database lost what it had committed.
    let is_older = attempt < lease.attempt || (attempt == lease.attempt && !same_claim) || (same_claim && !same_page);
    Err(if is_older { Error::CommitsLost } else { Error::LeaseLost })
}

/// Adds a committed page to the job: its counts, and where the next page starts. Extends the lease.
///
/// Progress clears the failures in a row; a page of which nothing could be moved is none. Every commit clears the
/// losses, and takes `passed` keys out of suspicion. Call [`hold_at`] first.
///
/// # Errors
/// The database is unavailable.
pub async fn advance(
    tx: &Transaction<'_>,
    lease: Lease,
    extend: Duration,
    cursor: Option<&str>,
    counts: &Counts,
    progressed: bool,
    passed: i32,
) -> Result<()> {
    let statement = tx
        .prepare_cached(
            "UPDATE jobs
                SET cursor = coalesce($2, cursor), failures = CASE WHEN $18 THEN 0 ELSE failures END,
                    commits = commits + 1, lease_until = now() + $19::float8 * interval '1 second', losses = 0,
                    lost_alone = 0, lone_key = NULL, suspects = CASE WHEN $20 < suspects THEN suspects - $20 END,
                    pages = pages + $3, listed = listed + $4, matched = matched + $5, imported = imported + $6,
                    existed = existed + $7, quarantined = quarantined + $8,
                    still_quarantined = still_quarantined + $9, vanished = vanished + $10, created = created + $11,
                    exported = exported + $12, unchanged = unchanged + $13, deleted = deleted + $14,
                    kept = kept + $15, failed = failed + $16, bytes = bytes + $17
              WHERE id = $1",
        )
        .await?;
    tx.execute(
        &statement,
        &[
            &lease.job,
            &cursor,
            &counts.pages,
            &counts.listed,
            &counts.matched,
            &counts.imported,
            &counts.existed,
            &counts.quarantined,
            &counts.still_quarantined,
            &counts.vanished,
            &counts.created,
            &counts.exported,
            &counts.unchanged,
            &counts.deleted,
            &counts.kept,
            &counts.failed,
            &counts.bytes,
            &progressed,
            &extend.as_secs_f64(),
            &passed,
        ],
    )
    .await?;
    Ok(())
}
