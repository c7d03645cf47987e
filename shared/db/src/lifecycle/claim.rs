//! Claiming: how an attempt gets a job.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::time::Duration;

use longshore_model::JobKind;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::rescue::expire;
use crate::jobs::{Fence, Lease};
use crate::row::word;
use crate::{GenericClient, Result};

/// Losses of one key alone after which its object goes to quarantine.
const LOSSES_UNTIL_POISON: i32 = 2;

/// Losses in a row after which a job is discarded: even pages of a single key end the worker, and no object can be
/// named for it. Halving 1,000 keys to one takes nine more after the third, and with the losses of the whole page and of
/// the key alone fourteen come before quarantine.
const MOST_LOSSES: i32 = 20;

/// Who claims.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// The worker's name, for people.
    pub worker: &'a str,
    /// The worker process; no two have the same, whatever their names are.
    pub process: Uuid,
}

/// A job as its attempt starts.
#[derive(Debug, Clone)]
pub struct ClaimedJob {
    /// The right to write to the job.
    pub lease: Lease,
    /// The sync that the job belongs to.
    pub sync_id: i64,
    /// The storage of that sync.
    pub storage_id: i64,
    /// What the job does.
    pub kind: JobKind,
    /// Where the next page starts; opaque above the storage. `None` before the first page.
    pub cursor: Option<String>,
    /// The range is everything after this; `None` is open. Keys for import, IDs for export. Written when the job is
    /// made, …
    pub range_after: Option<String>,
    /// … up to and with this; `None` is open. Moved down by a split.
    pub range_until: Option<String>,
    /// Whether this is the first claim of its sync, which is in progress from now on.
    pub begins_sync: bool,
    /// Failures in a row without a committed page.
    pub failures: i32,
    /// The sync's options as JSON text.
    pub options: String,
    /// Pages committed before, over all attempts.
    pub commits: i64,
    /// Leases in a row that were lost without a committed page.
    pub losses: i32,
    /// Keys after the cursor among which one ended the worker; `None` without a suspicion.
    pub suspects: Option<i32>,
    /// The object's key or unit's ID that is known to end its worker: it goes to quarantine unread.
    pub poison: Option<String>,
}

impl ClaimedJob {
    /// What the first commit of this attempt states.
    pub fn fence(&self) -> Fence {
        Fence { lease: self.lease, commits: self.commits, cursor: self.cursor.clone() }
    }

    /// The most keys that a page of this attempt may hold; `None` without a suspicion.
    pub fn page_limit(&self) -> Option<u16> {
        self.suspects.map(|keys| u16::try_from(keys / 2).unwrap_or(u16::MAX).max(1))
    }

    /// Whether the job is to be discarded: it ended its worker whatever its pages held.
    pub fn is_lost_for_good(&self) -> bool {
        self.losses >= MOST_LOSSES
    }
}

/// What came of a claim.
#[derive(Debug, Clone)]
pub enum Claim {
    /// The worker has the job.
    Job(Box<ClaimedJob>),
    /// Finished, cancelled, leased or not yet due. A message that led here is acknowledged and forgotten.
    Nothing,
    /// Another transaction works on the job's row: ask again.
    Busy,
}

/// Claims a job if it is due and no live lease is on it.
///
/// Never waits for the job's row. A claim that waited could succeed after its worker stopped listening, and the job
/// would be leased to a worker that knows nothing of it.
///
/// A claim whose answer was lost may have succeeded all the same: see [`super::release_unknown`].
pub async fn claim(client: &impl GenericClient, job: i64, who: Claimant<'_>, lease: Duration) -> Result<Claim> {
    let claimed = try_claim(client, job, who, lease).await?;
    // A message that came early enough finds the lease of a dead worker: take the job from it, and claim again.
    if matches!(claimed, Claim::Nothing) && expire(client, Some(job)).await? > 0 {
        return try_claim(client, job, who, lease).await;
    }
    Ok(claimed)
}

async fn try_claim(client: &impl GenericClient, job: i64, who: Claimant<'_>, lease: Duration) -> Result<Claim> {
    // One round trip for the job, its sync and what the attempt needs of both: every attempt begins with it.
    let statement = client
        .prepare_cached(
            "WITH due AS (
                 SELECT id FROM jobs WHERE id = $1 AND finished_at IS NULL AND due_at <= now() AND state <> 'running'
                    FOR UPDATE NOWAIT
             ), claimed AS (
                 UPDATE jobs j
                    SET state = 'running', attempt = attempt + 1, token = gen_random_uuid(), process = $4, leased_by = $2,
                        page_keys = NULL, lease_until = now() + $3::float8 * interval '1 second', resends = 0,
                        started_at = coalesce(started_at, now())
                   FROM due WHERE j.id = due.id
              RETURNING j.*
             ), begun AS (
                 UPDATE syncs SET status = 'in_progress', started_at = now()
                  WHERE id = (SELECT sync_id FROM claimed) AND status = 'queued'
              RETURNING id
             )
             SELECT j.id, j.attempt, j.token, j.sync_id, s.storage_id, j.kind, j.cursor, j.range_after, j.range_until,
                    j.failures, j.commits, j.losses, j.suspects, s.options::text AS options,
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
        kind: word(&row, "kind")?,
        begins_sync: row.get::<_, Option<i64>>("begun").is_some(),
        cursor: row.get("cursor"),
        range_after: row.get("range_after"),
        range_until: row.get("range_until"),
        failures: row.get("failures"),
        options: row.get("options"),
        commits: row.get("commits"),
        losses: row.get("losses"),
        suspects: row.get("suspects"),
        poison: row.get("poison"),
    })))
}
