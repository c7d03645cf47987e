//! The claim: how an attempt gets a job.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::time::Duration;

use longshore_model::JobKind;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::rescue::expire;
use crate::jobs::{Fence, Lease};
use crate::row::word;
use crate::syncs::NewDeletion;
use crate::{Error, GenericClient, Result};

/// After this many losses while it ran alone, an object is quarantined as poison.
const LOSSES_UNTIL_POISON: i32 = 2;

/// After this many losses in a row a job is discarded: even pages of a single key ended the worker, and no single
/// object causes it. Quarantine of an object takes at most 14 losses: three before the job runs alone, then those that
/// halve the suspect keys to one, then [`LOSSES_UNTIL_POISON`].
const MAX_LOSSES: i32 = 20;

/// The worker that claims.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// The worker's name, for people.
    pub worker: &'a str,
    /// ID of the worker process. Unique even if two workers have the same name.
    pub process: Uuid,
}

/// A claimed job, as its attempt starts.
#[derive(Debug, Clone)]
pub struct ClaimedJob {
    /// The right to write to the job.
    pub lease: Lease,
    /// ID of the job's sync.
    pub sync_id: i64,
    /// ID of the sync's storage. `None` for a deletion of tasks.
    pub storage_id: Option<i64>,
    /// The deletion of tasks that the job is part of. `None` for every other job.
    pub deletion: Option<NewDeletion>,
    /// What the job does.
    pub kind: JobKind,
    /// Where the next page starts; opaque outside the storage adapter. `None` before the first page.
    pub cursor: Option<String>,
    /// The range starts after this key (import) or ID (export). `None` means from the start. Written when the job is
    /// created.
    pub range_after: Option<String>,
    /// The range ends with this key or ID, inclusive. `None` means to the end. A split lowers it.
    pub range_until: Option<String>,
    /// Import: whether the job tries the refused objects of its sync again, instead of listing a range.
    pub is_replay: bool,
    /// Whether this is the first claim of the sync, which sets its status to `in_progress`.
    pub begins_sync: bool,
    /// Failures in a row without a committed page.
    pub failures: i32,
    /// The sync's options as JSON text.
    pub options: String,
    /// Pages committed so far, over all attempts.
    pub commits: i64,
    /// Leases in a row that ended without a committed page.
    pub losses: i32,
    /// Number of suspect keys after the cursor: one of them may have ended the worker. `None` if no key is suspect.
    pub suspects: Option<i32>,
    /// The key of an object, or ID of a unit, that ended its worker too often: quarantine it without reading it.
    pub poison: Option<String>,
}

impl ClaimedJob {
    /// The fence of the first commit of this attempt.
    pub fn fence(&self) -> Fence {
        Fence { lease: self.lease, commits: self.commits, cursor: self.cursor.clone() }
    }

    /// The most keys that a page of this attempt may have. `None` (no extra limit) if no key is suspect.
    pub fn page_limit(&self) -> Option<u16> {
        self.suspects.map(|keys| u16::try_from(keys / 2).unwrap_or(u16::MAX).max(1))
    }

    /// Whether to discard the job, because its workers ended even with pages of one key.
    pub fn is_lost_for_good(&self) -> bool {
        self.losses >= MAX_LOSSES
    }
}

/// The result of a claim.
#[derive(Debug, Clone)]
pub enum Claim {
    /// The worker owns the job.
    Job(Box<ClaimedJob>),
    /// The job is finished, cancelled, leased, or not yet due. Acknowledge the message and do nothing.
    Nothing,
    /// Another transaction has locked the job's row. Try again.
    Busy,
}

/// Claims a job if it is due and has no valid lease.
///
/// Never waits for a lock on the job's row. A claim that waits could succeed after its worker gave up, and then the job
/// would be leased to a worker that does not know it.
///
/// A claim whose answer was lost may have succeeded. `jobs.process` finds such leases at the next heartbeat, or as soon
/// as the database answers again: see [`super::release_unknown`].
pub async fn claim(client: &impl GenericClient, job: i64, who: Claimant<'_>, lease: Duration) -> Result<Claim> {
    let claimed = try_claim(client, job, who, lease).await?;
    // The message may arrive before the rescuer has ended the lease of a dead worker. End that lease and claim again.
    if matches!(claimed, Claim::Nothing) && expire(client, Some(job)).await? > 0 {
        return try_claim(client, job, who, lease).await;
    }
    Ok(claimed)
}

async fn try_claim(client: &impl GenericClient, job: i64, who: Claimant<'_>, lease: Duration) -> Result<Claim> {
    // One round trip for the job, its sync and all that the attempt needs of both, because every attempt starts with
    // it.
    let statement = client
        .prepare_cached(
            "WITH due AS (
                 SELECT id FROM jobs WHERE id = $1 AND finished_at IS NULL AND due_at <= now() AND state <> 'running'
                    FOR UPDATE NOWAIT
             ), claimed AS (
                 UPDATE jobs j
                    SET state = 'running', attempt = attempt + 1, token = gen_random_uuid(), process = $4, leased_by = $2,
                        claims = claims + 1, page_keys = NULL, lease_until = now() + $3::float8 * interval '1 second', resends = 0,
                        started_at = coalesce(started_at, now())
                   FROM due WHERE j.id = due.id
              RETURNING j.*
             ), begun AS (
                 UPDATE syncs SET status = 'in_progress', started_at = now()
                  WHERE id = (SELECT sync_id FROM claimed) AND status = 'queued'
              RETURNING id
             )
             SELECT j.id, j.attempt, j.token, j.sync_id, s.storage_id, j.kind, j.cursor, j.range_after, j.range_until,
                    j.is_replay, s.project_id, s.deletes_from, s.deletion::text AS deletion, j.failures, j.commits, j.losses, j.suspects, s.options::text AS options,
                    CASE WHEN j.lost_alone >= $5 THEN j.lone_key END AS poison, (SELECT id FROM begun) AS begun
               FROM claimed j JOIN syncs s ON s.id = j.sync_id",
        )
        .await?;
    let parameters: [&(dyn ToSql + Sync); 5] =
        [&job, &who.worker, &lease.as_secs_f64(), &who.process, &LOSSES_UNTIL_POISON];
    let row = match client.query_opt(&statement, &parameters).await {
        Ok(row) => row,
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => return Ok(Claim::Busy),
        Err(error) => return Err(error.into()),
    };
    let Some(row) = row else { return Ok(Claim::Nothing) };
    Ok(Claim::Job(Box::new(ClaimedJob {
        lease: Lease { job: row.get("id"), attempt: row.get("attempt"), token: row.get("token") },
        sync_id: row.get("sync_id"),
        storage_id: row.get("storage_id"),
        deletion: deletion(&row)?,
        kind: word(&row, "kind")?,
        begins_sync: row.get::<_, Option<i64>>("begun").is_some(),
        cursor: row.get("cursor"),
        range_after: row.get("range_after"),
        range_until: row.get("range_until"),
        is_replay: row.get("is_replay"),
        failures: row.get("failures"),
        options: row.get("options"),
        commits: row.get("commits"),
        losses: row.get("losses"),
        suspects: row.get("suspects"),
        poison: row.get("poison"),
    })))
}

/// The deletion that a claimed job is part of.
fn deletion(row: &Row) -> Result<Option<NewDeletion>> {
    let Some(text) = row.get::<_, Option<&str>>("deletion") else { return Ok(None) };
    let deletion = serde_json::from_str(text).map_err(|error| Error::unreadable("syncs.deletion", error))?;
    let project_id = row.get("project_id");
    Ok(Some(NewDeletion { project_id, storage_id: row.get("deletes_from"), deletion }))
}
