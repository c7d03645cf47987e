//! The fence: whether an attempt still owns its job, and the job is still as the attempt knows it.
//!
//! `(job, attempt)` alone is not enough. A database that lost its latest commits in a failover hands out the same
//! attempt again, and a worker that goes on behind a cursor which the database no longer knows would leave a gap. So
//! a claim gets a random token from the database, and each commit also states how many pages were committed and where
//! the last one ended. A claim of an earlier release has no token, and its commits check `(job, attempt)` as before.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use uuid::Uuid;

use super::lease::Lease;
use crate::{Error, Result, Transaction};

/// What an attempt knows of its job, which a commit states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The right to write to the job.
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
