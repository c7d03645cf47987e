//! Jobs without a worker, and jobs without a message.
//!
//! A lease that ends without a committed page is a loss. After several in a row a job comes under suspicion: its
//! attempts run alone in their worker, and write down on how many keys and on which object they work before they do
//! ([`crate::jobs::runs_alone`], [`crate::jobs::works_on`]). So a worker that ends for another reason blames nothing.
//! Every commit clears the losses and takes the keys that it passed out of suspicion, so kills of healthy workers end
//! nothing either.
//!
//! Every statement here writes `jobs` and `outbox` together: it takes any number of jobs in one round trip, and a job
//! that is due again has its message at once.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use std::time::Duration;

use uuid::Uuid;

use crate::jobs::Lease;
use crate::{GenericClient, Result};

/// Losses in a row after which a job runs alone in its worker.
///
/// Fewer, and two unlucky kills of healthy workers would slow a job down; more, and one bad object ends
/// more workers before anything happens.
const LOSSES_UNTIL_ALONE: i32 = 3;

/// Keys under suspicion once a job was lost several times: the page that was being committed, and the one that was
/// prepared meanwhile. The first page alone has half of them, which is the usual size.
const FIRST_SUSPECTS: i32 = 2_000;

/// Jobs whose messages are sent again in one round, those without a further message first. So a lost message is found
/// in its round as long as fewer jobs than this begin to wait between two rounds. More would hold their rows for long,
/// and fill the queue of a deployment that is far behind.
const RESENDS_PER_ROUND: i64 = 2_000;

/// The most times that the wait for a further message doubles. From half a minute that is a year: a limit that a
/// waiting job reached would have it sent again in every round from then on.
const MOST_DOUBLINGS: i32 = 20;

/// Makes jobs whose lease expired due again, and returns how many.
///
/// Their worker died or stalled; whatever page it had begun was never committed. Each is a loss: see `expire`.
pub async fn rescue_expired(client: &impl GenericClient) -> Result<u64> {
    expire(client, None).await
}

/// Takes jobs, or one job, from leases that have expired.
///
/// A lease that ends without a committed page is a loss. After several in a row the job comes under suspicion, and its
/// attempts run alone: a lost page leaves the keys of that page suspect, of which the next page takes half. Under
/// suspicion, an attempt that had not begun to run alone lost nothing: its worker ended for another reason.
pub(super) async fn expire(client: &impl GenericClient, job: Option<i64>) -> Result<u64> {
    // Two statements: with one condition for both, a single job would be looked for among all unfinished ones.
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

/// Makes jobs from [`crate::jobs::unknown_leases`] due again, and returns how many. Not a loss: no attempt began.
///
/// A job whose row another transaction holds waits for the next call: the heartbeat of all other jobs waits for none.
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

/// Sends messages of due jobs again that no worker has claimed for a while, and returns how many.
///
/// A job that is due and has nothing in the outbox either waits behind others in its queue or its message is lost;
/// nothing tells the two apart. So a job waits `silence` before its first further message, and twice as long before
/// each next one: a lost message is found soon however busy the queue is, and a job that waits for an hour has only a
/// handful of messages. Jobs that had none yet come first. One too many is harmless: it finds nothing to claim.
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
    let sent = client.execute(&statement, &[&silence.as_secs_f64(), &RESENDS_PER_ROUND, &MOST_DOUBLINGS]).await?;
    if sent > 0 {
        client.batch_execute("NOTIFY longshore_outbox").await?;
    }
    Ok(sent)
}
