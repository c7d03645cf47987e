//! The `jobs` table: one row a key range, one function a statement.
//!
//! A running attempt writes through its [`Lease`], the pair `(job, attempt)`. `attempt` only grows,
//! so a worker that stalled past its lease matches no row: the count of claims is also the fencing
//! token. Time is the database's alone; no two machines' clocks are compared.

use std::time::Duration;

use deadpool_postgres::GenericClient;
use longshore_model::{FailureReason, JobKind, JobState};
use tokio_postgres::Row;

use crate::{Counts, Error, Result, Transaction, syncs};

/// The right to write for a job, until another attempt claims it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    pub job: i64,
    pub attempt: i32,
}

/// A job as its attempt starts.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub lease: Lease,
    pub sync_id: i64,
    pub storage_id: i64,
    pub kind: JobKind,
    /// Where the next page starts; opaque above the storage.
    pub cursor: Option<String>,
    /// The range is everything after this, …
    pub range_after: Option<String>,
    /// … up to and with this.
    pub range_until: Option<String>,
    /// Failures in a row without a committed page.
    pub failures: i32,
    /// The sync's options as JSON text.
    pub options: String,
}

/// A job as progress shows it.
#[derive(Debug, Clone)]
pub struct JobRow {
    pub id: i64,
    pub kind: JobKind,
    pub state: JobState,
    pub attempt: i32,
    pub failures: i32,
    pub cursor: Option<String>,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub counts: Counts,
}

/// Claims a job if it is due and nobody holds it, or its holder let the lease expire.
///
/// `None` means that there is nothing to do: finished, cancelled, leased or not yet due. A message
/// that led here is acknowledged and forgotten.
///
/// # Errors
/// The database is away.
pub async fn claim(client: &impl GenericClient, job: i64, worker: &str, lease: Duration) -> Result<Option<Claimed>> {
    let statement = client
        .prepare_cached(
            "WITH claimed AS (
                 UPDATE jobs
                    SET state = 'running', attempt = attempt + 1, leased_by = $2,
                        lease_until = now() + $3::float8 * interval '1 second',
                        started_at = coalesce(started_at, now())
                  WHERE id = $1 AND finished_at IS NULL AND due_at <= now()
                    AND (state <> 'running' OR lease_until < now())
              RETURNING *
             ), begun AS (
                 UPDATE syncs SET status = 'in_progress', started_at = now()
                  WHERE id = (SELECT sync_id FROM claimed) AND status = 'queued'
              RETURNING id
             )
             SELECT j.id, j.attempt, j.sync_id, s.storage_id, j.kind, j.cursor, j.range_after, j.range_until,
                    j.failures, s.options::text AS options, (SELECT id FROM begun) AS begun
               FROM claimed j JOIN syncs s ON s.id = j.sync_id",
        )
        .await?;
    let row = client.query_opt(&statement, &[&job, &worker, &lease.as_secs_f64()]).await?;
    let Some(row) = row else { return Ok(None) };
    if row.get::<_, Option<i64>>("begun").is_some() {
        syncs::notify(client).await?;
    }
    Ok(Some(Claimed {
        lease: Lease { job: row.get("id"), attempt: row.get("attempt") },
        sync_id: row.get("sync_id"),
        storage_id: row.get("storage_id"),
        kind: word(&row, "kind")?,
        cursor: row.get("cursor"),
        range_after: row.get("range_after"),
        range_until: row.get("range_until"),
        failures: row.get("failures"),
        options: row.get("options"),
    }))
}

/// Extends leases and returns those that still hold; the others are lost.
///
/// # Errors
/// The database is away.
pub async fn heartbeat(client: &impl GenericClient, leases: &[Lease], lease: Duration) -> Result<Vec<Lease>> {
    let jobs: Vec<i64> = leases.iter().map(|lease| lease.job).collect();
    let attempts: Vec<i32> = leases.iter().map(|lease| lease.attempt).collect();
    let rows = client
        .query(
            "UPDATE jobs j SET lease_until = now() + $3::float8 * interval '1 second'
               FROM unnest($1::bigint[], $2::int[]) AS held (job, attempt)
              WHERE j.id = held.job AND j.attempt = held.attempt AND j.state = 'running'
          RETURNING j.id, j.attempt",
            &[&jobs, &attempts, &lease.as_secs_f64()],
        )
        .await?;
    Ok(rows.iter().map(|row| Lease { job: row.get(0), attempt: row.get(1) }).collect())
}

/// Locks the job for the rest of the transaction, if the lease still holds.
///
/// Call it before the first write of an attempt. Until the transaction ends no other worker can
/// claim the job, and none can have claimed it already. Returns the failures in a row so far.
///
/// # Errors
/// [`Error::LeaseLost`] if another attempt has the job or it was cancelled.
pub async fn hold(tx: &Transaction<'_>, lease: Lease) -> Result<i32> {
    let statement = tx
        .prepare_cached("SELECT failures FROM jobs WHERE id = $1 AND attempt = $2 AND state = 'running' FOR UPDATE")
        .await?;
    let held = tx.query_opt(&statement, &[&lease.job, &lease.attempt]).await?;
    held.map(|row| row.get(0)).ok_or(Error::LeaseLost)
}

/// Adds a committed page to the job: its counts, and where the next page starts.
///
/// Progress clears the failures in a row; a page of which nothing could be moved is none. Call
/// [`hold`] first.
///
/// # Errors
/// The database is away.
pub async fn advance(
    tx: &Transaction<'_>,
    lease: Lease,
    cursor: Option<&str>,
    counts: &Counts,
    progressed: bool,
) -> Result<()> {
    let statement = tx
        .prepare_cached(
            "UPDATE jobs
                SET cursor = coalesce($2, cursor), failures = CASE WHEN $18 THEN 0 ELSE failures END,
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
        ],
    )
    .await?;
    Ok(())
}

/// Ends the job as completed; the last job of a sync closes the sync in the same transaction.
///
/// # Errors
/// The database is away. Call [`hold`] first.
pub async fn complete(tx: &Transaction<'_>, lease: Lease) -> Result<()> {
    finish(tx, lease, JobState::Completed, None).await
}

/// Gives the job up for a reason a person understands; its sync fails with that reason.
///
/// # Errors
/// The database is away. Call [`hold`] first.
pub async fn discard(tx: &Transaction<'_>, lease: Lease, reason: FailureReason, detail: &str) -> Result<()> {
    finish(tx, lease, JobState::Discarded, Some((reason, detail))).await
}

async fn finish(tx: &Transaction<'_>, lease: Lease, state: JobState, why: Option<(FailureReason, &str)>) -> Result<()> {
    let (reason, detail) = why.unzip();
    let statement = tx
        .prepare_cached(
            "UPDATE jobs SET state = $2, lease_until = NULL, finished_at = now(), reason = $3, detail = $4
              WHERE id = $1 RETURNING sync_id",
        )
        .await?;
    let reason = reason.map(FailureReason::as_str);
    let row = tx.query_one(&statement, &[&lease.job, &state.as_str(), &reason, &detail]).await?;
    syncs::close_if_done(tx, row.get(0), why).await
}

/// Puts the job at the back of the queue: its quantum is used, or its worker drains.
///
/// # Errors
/// The database is away. Call [`hold`] first.
pub async fn release(tx: &Transaction<'_>, lease: Lease) -> Result<()> {
    requeue(tx, lease, JobState::Available, Duration::ZERO, 0, None).await
}

/// Puts the job aside until `delay` has passed, after a transient failure.
///
/// # Errors
/// The database is away. Call [`hold`] first.
pub async fn retry_later(
    tx: &Transaction<'_>,
    lease: Lease,
    delay: Duration,
    reason: FailureReason,
    detail: &str,
) -> Result<()> {
    requeue(tx, lease, JobState::Retryable, delay, 1, Some((reason, detail))).await
}

async fn requeue(
    tx: &Transaction<'_>,
    lease: Lease,
    state: JobState,
    delay: Duration,
    failures: i32,
    why: Option<(FailureReason, &str)>,
) -> Result<()> {
    let (reason, detail) = why.unzip();
    let statement = tx
        .prepare_cached(
            "WITH requeued AS (
                 UPDATE jobs
                    SET state = $2, lease_until = NULL, leased_by = NULL, failures = failures + $4,
                        due_at = now() + $3::float8 * interval '1 second', reason = $5, detail = $6
                  WHERE id = $1
              RETURNING id, due_at
             )
             INSERT INTO outbox (job_id, due_at) SELECT id, due_at FROM requeued
                 ON CONFLICT (job_id) DO UPDATE SET due_at = excluded.due_at",
        )
        .await?;
    let reason = reason.map(FailureReason::as_str);
    tx.execute(&statement, &[&lease.job, &state.as_str(), &delay.as_secs_f64(), &failures, &reason, &detail]).await?;
    if delay.is_zero() {
        tx.batch_execute("NOTIFY longshore_outbox").await?;
    }
    Ok(())
}

/// Cuts the rest of the job's range at these keys, in ascending order: the job keeps what lies up to
/// the first, each further part becomes a job of its own.
///
/// The parts cover the range exactly once, whatever keys come and go meanwhile: each is "after this
/// key, up to and with that one". Call [`hold`] first.
///
/// # Errors
/// The database is away.
pub async fn split(tx: &Transaction<'_>, lease: Lease, keys: &[String]) -> Result<()> {
    let Some(first) = keys.first() else { return Ok(()) };
    tx.execute(
        "WITH parent AS (
             SELECT sync_id, kind, range_until FROM jobs WHERE id = $1
         ), kept AS (
             UPDATE jobs SET range_until = $2 WHERE id = $1
         ), cut AS (
             SELECT key, lead(key) OVER (ORDER BY n) AS until FROM unnest($3::text[]) WITH ORDINALITY AS c (key, n)
         ), parts AS (
             INSERT INTO jobs (sync_id, kind, range_after, range_until)
             SELECT parent.sync_id, parent.kind, cut.key, coalesce(cut.until, parent.range_until) FROM cut, parent
          RETURNING id
         )
         INSERT INTO outbox (job_id) SELECT id FROM parts",
        &[&lease.job, first, &keys],
    )
    .await?;
    tx.batch_execute("NOTIFY longshore_outbox").await?;
    Ok(())
}

/// Makes jobs whose lease expired due again, and returns how many.
///
/// Their worker died or stalled; whatever page it had begun was never committed.
///
/// # Errors
/// The database is away.
pub async fn rescue_expired(client: &impl GenericClient) -> Result<u64> {
    let rescued = client
        .execute(
            "WITH expired AS (
                 SELECT id FROM jobs WHERE finished_at IS NULL AND state = 'running' AND lease_until < now()
                    FOR UPDATE SKIP LOCKED
             ), rescued AS (
                 UPDATE jobs j SET state = 'available', lease_until = NULL, leased_by = NULL, due_at = now()
                   FROM expired WHERE j.id = expired.id
              RETURNING j.id
             )
             INSERT INTO outbox (job_id) SELECT id FROM rescued
                 ON CONFLICT (job_id) DO UPDATE SET due_at = now()",
            &[],
        )
        .await?;
    Ok(rescued)
}

/// Sends again what the broker seems to have lost, and returns how many messages that are.
///
/// A job that has been due for a while and has nothing in the outbox either waits behind others in
/// its queue or its message is gone. `drained` names the kinds whose queue holds no waiting
/// message: there it can only be gone, so `silence` is enough; for the other kinds `overdue` is.
/// The job is due afresh, so one pass does not repeat the last. A message too many is harmless.
///
/// # Errors
/// The database is away.
pub async fn republish_lost(
    client: &impl GenericClient,
    drained: &[JobKind],
    silence: Duration,
    overdue: Duration,
) -> Result<u64> {
    let kinds: Vec<&str> = drained.iter().map(|kind| kind.as_str()).collect();
    let sent = client
        .execute(
            "WITH lost AS (
                 SELECT j.id FROM jobs j
                  WHERE j.finished_at IS NULL AND j.state <> 'running'
                    AND j.due_at < now() - (CASE WHEN j.kind = ANY ($1) THEN $2::float8 ELSE $3::float8 END)
                                           * interval '1 second'
                    AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.job_id = j.id)
                    FOR UPDATE OF j SKIP LOCKED
             ), due AS (
                 UPDATE jobs j SET due_at = now() FROM lost WHERE j.id = lost.id RETURNING j.id
             )
             INSERT INTO outbox (job_id) SELECT id FROM due ON CONFLICT (job_id) DO NOTHING",
            &[&kinds, &silence.as_secs_f64(), &overdue.as_secs_f64()],
        )
        .await?;
    Ok(sent)
}

/// The jobs of a sync, in the order of their making.
///
/// # Errors
/// The database is away.
pub async fn of_sync(client: &impl GenericClient, sync_id: i64) -> Result<Vec<JobRow>> {
    let rows = client
        .query(
            &format!(
                "SELECT j.id, j.kind, j.state, j.attempt, j.failures, j.cursor, j.reason, j.detail, {}
                   FROM jobs j WHERE j.sync_id = $1 ORDER BY j.id",
                Counts::COLUMNS
            ),
            &[&sync_id],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(JobRow {
                id: row.get("id"),
                kind: word(row, "kind")?,
                state: word(row, "state")?,
                attempt: row.get("attempt"),
                failures: row.get("failures"),
                cursor: row.get("cursor"),
                reason: row.get("reason"),
                detail: row.get("detail"),
                counts: Counts::of(row),
            })
        })
        .collect()
}

/// Reads a column that holds a word of a closed set.
pub(crate) fn word<T>(row: &Row, column: &'static str) -> Result<T>
where
    T: std::str::FromStr<Err = longshore_model::UnknownWord>,
{
    row.get::<_, &str>(column).parse().map_err(|error| Error::unreadable(column, error))
}
