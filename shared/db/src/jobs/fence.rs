//! The fence: the check in each commit that the attempt still owns its job, and that the job's row is in the state that
//! the attempt knows.
//!
//! `(job, attempt)` alone is not enough. A database that lost its latest commits in a failover gives the same attempt
//! number to another claim. And a worker that continues after a cursor which that database does not have would leave a
//! gap. So a claim gets a random token from the database, and each commit also compares the number of committed pages
//! and the last cursor. A mismatch ends the attempt without a write (`commits_lost`).
//!
//! Outbox, reporter and pruner read and write within one transaction, so they need no fence.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use uuid::Uuid;

use super::lease::Lease;
use crate::{Error, Result, Transaction};

/// What an attempt knows about its job, and each of its commits checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The right to write to the job.
    pub lease: Lease,
    /// Pages committed so far, over all attempts.
    pub commits: i64,
    /// Cursor after the last of them. `None` before the first page.
    pub cursor: Option<String>,
}

impl Fence {
    /// Counts one more commit, which moved the cursor, or left it where it was (`None`).
    pub fn committed(&mut self, cursor: Option<&str>) {
        self.commits += 1;
        if let Some(cursor) = cursor {
            self.cursor = Some(cursor.to_owned());
        }
    }
}

/// Locks the job for the rest of the transaction, if the attempt still owns it. Returns the failures in a row so far.
///
/// This check is enough to release or end a job, because that does not depend on the cursor. A commit of a page calls
/// [`hold_at`].
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

/// Locks the job for the rest of the transaction, if the attempt still owns it and its cursor is the one of `fence`.
///
/// Call it before the first write of a page. Until the transaction ends no other worker can claim the job. Returns
/// the failures in a row so far.
///
/// # Errors
/// [`Error::LeaseLost`] if another attempt has the job or it was cancelled. [`Error::CommitsLost`] if the database
/// lacks commits that it had confirmed to this attempt: it was replaced by an older copy of itself.
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
    // The numbers of claims and commits only grow. So the database lost commits if it has fewer claims than this
    // attempt saw, another token for the same attempt, or another cursor within the same claim.
    let is_older = attempt < lease.attempt || (attempt == lease.attempt && !same_claim) || (same_claim && !same_page);
    Err(if is_older { Error::CommitsLost } else { Error::LeaseLost })
}
