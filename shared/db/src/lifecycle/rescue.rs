//! Rescues jobs whose worker died, and jobs whose message was lost.
//!
//! A lease that ends without a committed page is a loss. After 3 losses in a row the job is suspect: its attempts run
//! alone in their worker, in pages of half the suspect keys, and each loss halves them. An object that is lost twice
//! while it runs alone is quarantined as `poison`, after at most 14 losses. After 20 losses in a row the job is
//! discarded.
//!
//! Before an attempt works, it records how many keys, or which object, it works on ([`crate::jobs::mark_alone`],
//! [`crate::jobs::mark_lone_key`]). So a worker that ends for another reason blames nothing. Each commit resets the
//! losses and clears the suspicion of the keys that it passed, so kills of healthy workers quarantine nothing.
//!
//! Each statement here writes `jobs` and `outbox`: any number of jobs takes one round trip, and a job that is due again
//! always has a message.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::time::Duration;

use uuid::Uuid;

use crate::jobs::Lease;
use crate::{GenericClient, Result};

/// After this many losses in a row, a job runs alone in its worker.
///
/// With fewer, two unlucky kills of healthy workers would slow a job down. With more, one bad object would end more
/// workers before Longshore reacts.
const LOSSES_UNTIL_ALONE: i32 = 3;

/// Number of suspect keys after [`LOSSES_UNTIL_ALONE`] losses: those of the page that was committed, and of the next
/// page that was prepared at the same time. The first page alone has half of them, which is the usual page size.
const FIRST_SUSPECTS: i32 = 2_000;

/// The most jobs whose messages are republished in one round, those with the fewest republished messages first. A lost
/// message is republished in time if fewer jobs than this start to wait between two rounds. A larger number would lock
/// the rows for long, and fill the queue of a deployment that is far behind.
const MAX_RESENDS: i64 = 2_000;

/// The most times that the wait for the next message doubles. Half a minute doubled 20 times is a year. A job that
/// reached the limit would be republished in every round.
const MAX_DOUBLINGS: i32 = 20;

/// Makes jobs with an expired lease due again, and returns their number.
///
/// Their worker died or stalled, and its current page was never committed. Each is a loss, see the module docs.
pub async fn rescue_expired(client: &impl GenericClient) -> Result<u64> {
    expire(client, None).await
}

/// Ends the expired leases of one job, or of all jobs, and makes the jobs due.
///
/// If no key is suspect yet, each lease counts as a loss. If keys are suspect, only the loss of an attempt that ran
/// alone counts, and the keys of its page become the suspects; another attempt's worker ended for another reason.
pub(super) async fn expire(client: &impl GenericClient, job: Option<i64>) -> Result<u64> {
    // Two statements: with one condition for both, Postgres would search a single job among all unfinished ones.
    let which = if job.is_some() { "id = $3" } else { "finished_at IS NULL AND $3::bigint IS NULL" };
    let text = format!(
        "WITH expired AS (
             SELECT id FROM jobs WHERE {which} AND state = 'running' AND lease_until < now() FOR UPDATE SKIP LOCKED
         ), rescued AS (
             UPDATE jobs j
                SET state = 'available', lease_until = NULL, leased_by = NULL, due_at = now(),
                    losses = losses + CASE WHEN suspects IS NOT NULL AND page_keys IS NULL THEN 0 ELSE 1 END,
                    suspects = CASE WHEN suspects IS NOT NULL THEN coalesce(page_keys, suspects)
                                    WHEN losses + 1 >= $1 THEN $2 END,
                    page_keys = NULL, process = NULL, reason = 'worker_lost',
                    detail = format('Worker %s stopped or stalled during this job. Losses in a row: %s.',
                                    leased_by, losses + 1)
               FROM expired WHERE j.id = expired.id
          RETURNING j.id
         )
         INSERT INTO outbox (job_id) SELECT id FROM rescued
             ON CONFLICT (job_id) DO UPDATE SET due_at = now()"
    );
    let statement = client.prepare_cached(&text).await?;
    Ok(client.execute(&statement, &[&LOSSES_UNTIL_ALONE, &FIRST_SUSPECTS, &job]).await?)
}

/// Makes jobs from [`crate::jobs::unknown_leases`] due again, and returns their number. Not a loss: no attempt started.
///
/// Skips jobs whose row is locked; the next call takes them. The heartbeat of all other jobs must not wait for a lock.
pub async fn release_unknown(client: &impl GenericClient, jobs: &[Lease]) -> Result<u64> {
    let ids: Vec<i64> = jobs.iter().map(|lease| lease.job).collect();
    let tokens: Vec<Uuid> = jobs.iter().map(|lease| lease.token).collect();
    let released = client
        .execute(
            "WITH free AS (
                 SELECT j.id FROM unnest($1::bigint[], $2::uuid[]) AS u (job, token)
                   JOIN jobs j ON j.id = u.job AND j.token = u.token AND j.state = 'running'
                    FOR UPDATE OF j SKIP LOCKED
             ), released AS (
                 UPDATE jobs j SET state = 'available', lease_until = NULL, process = NULL, due_at = now()
                   FROM free WHERE j.id = free.id
              RETURNING j.id
             )
             INSERT INTO outbox (job_id) SELECT id FROM released ON CONFLICT (job_id) DO UPDATE SET due_at = now()",
            &[&ids, &tokens],
        )
        .await?;
    if released > 0 {
        client.batch_execute("NOTIFY longshore_outbox").await?;
    }
    Ok(released)
}

/// Republishes messages of due jobs that no worker has claimed for a while, and returns their number.
///
/// If a job is due and has no row in the outbox, its message is either waiting in the queue or lost; there is no way to
/// distinguish these. So the first message is republished after `silence`, and the wait doubles each time. A lost
/// message is replaced soon, even if the queue is busy, and a job that waits for an hour has only a few messages. Jobs
/// with the fewest republished messages come first. A duplicate message is harmless: it finds nothing to claim.
pub async fn republish_lost(client: &impl GenericClient, silence: Duration) -> Result<u64> {
    let statement = client
        .prepare_cached(
            "WITH lost AS (
                 SELECT j.id FROM jobs j
                  WHERE j.finished_at IS NULL AND j.state <> 'running'
                    AND j.due_at < now() - ($1::float8 * power(2, least(resends, $3))) * interval '1 second'
                    AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.job_id = j.id)
                  ORDER BY j.resends, j.due_at LIMIT $2
                    FOR UPDATE OF j SKIP LOCKED
             ), counted AS (
                 UPDATE jobs j SET resends = resends + 1 FROM lost WHERE j.id = lost.id RETURNING j.id
             )
             INSERT INTO outbox (job_id) SELECT id FROM counted ON CONFLICT (job_id) DO NOTHING",
        )
        .await?;
    let sent = client.execute(&statement, &[&silence.as_secs_f64(), &MAX_RESENDS, &MAX_DOUBLINGS]).await?;
    if sent > 0 {
        client.batch_execute("NOTIFY longshore_outbox").await?;
    }
    Ok(sent)
}
