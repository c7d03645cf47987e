//! The end of a failed attempt: what happens to its job, recorded as soon as the database accepts it.

use std::time::Duration;

use longshore_db::jobs::{self, Lease};
use longshore_db::lifecycle::{self, ClaimedJob};
use longshore_db::{Client, Error as DbError, Transaction};
use longshore_model::FailureReason;
use longshore_telemetry::error_chain;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::drained;
use crate::context::Context;
use crate::job_error::{JobError, Verdict, backoff};
use crate::metrics::Ending;
use crate::waits::wait_after;

/// Pause before the end of an attempt is written again.
const WRITE_PAUSE: Duration = Duration::from_millis(500);

/// How often an available database may refuse the end of an attempt before the job is left to its lease. The database
/// would refuse the same value again, and meanwhile the attempt keeps a slot.
const MOST_REFUSALS: u32 = 20;

/// What happens to the job after a failure.
pub(super) enum End {
    Left,
    Released { delay: Duration },
    Relisted,
    Retried { reason: FailureReason, delay: Duration },
    Discarded { reason: FailureReason },
}

impl End {
    pub(super) fn of(context: &Context, failures: i32, error: &JobError) -> Self {
        match error.verdict() {
            Verdict::Leave => Self::Left,
            Verdict::Release { delay } => Self::Released { delay },
            Verdict::Relist => Self::Relisted,
            Verdict::Retry { reason, at_least } if failures + 1 < context.config.max_failures => {
                Self::Retried { reason, delay: backoff(failures, at_least) }
            }
            Verdict::Retry { reason, .. } | Verdict::Discard { reason } => Self::Discarded { reason },
        }
    }

    /// Records the end in the transaction that has locked the job.
    pub(super) async fn write(&self, lease: Lease, tx: &Transaction<'_>, error: &JobError) -> Result<(), JobError> {
        let detail = |reason: FailureReason| format!("{} ({})", error.advice(reason), error_chain(error));
        match *self {
            Self::Left => {}
            Self::Released { delay } => match wait_after(error) {
                Some(wait) => lifecycle::wait_later(tx, lease, delay, &wait).await?,
                None => lifecycle::release(tx, lease, delay).await?,
            },
            Self::Relisted => lifecycle::relist(tx, lease).await?,
            Self::Retried { reason, delay } => {
                let wait = wait_after(error);
                lifecycle::retry_later(tx, lease, delay, reason, &detail(reason), wait.as_ref()).await?
            }
            Self::Discarded { reason } => lifecycle::discard(tx, lease, reason, &detail(reason)).await?,
        }
        Ok(())
    }

    /// Logs the end. Call it after the commit.
    pub(super) fn log(&self, job: &ClaimedJob, error: &JobError) {
        let (sync, lease) = (job.sync_id, job.lease);
        match *self {
            Self::Left => {}
            Self::Released { .. } | Self::Relisted => info!(
                event = "job_released",
                sync.id = sync,
                job.id = lease.job,
                job.attempt = lease.attempt,
                error = error_chain(error),
                "job released"
            ),
            // The scheduler warns once a minute about what syncs wait for.
            Self::Retried { reason, delay } => info!(
                event = "job_retry_scheduled",
                sync.id = sync,
                job.id = lease.job,
                job.attempt = lease.attempt,
                reason = reason.as_str(),
                delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
                error = error_chain(error),
                "attempt failed; retry scheduled"
            ),
            Self::Discarded { reason } => warn!(
                event = "job_discarded",
                sync.id = sync,
                job.id = lease.job,
                job.attempt = lease.attempt,
                reason = reason.as_str(),
                error = error_chain(error),
                "job discarded"
            ),
        }
    }

    /// The value of the metrics' label `ending`.
    pub(super) fn ending(&self) -> Ending {
        match self {
            Self::Left => Ending::Left,
            Self::Released { .. } | Self::Relisted => Ending::Released,
            Self::Retried { .. } => Ending::Retried,
            Self::Discarded { .. } => Ending::Discarded,
        }
    }
}

/// Gives a job back after a failure outside of a page's commit.
///
/// Waits while the database is unavailable; otherwise the job would be blocked until its lease expires.
pub(crate) async fn give_back(
    context: &Context,
    job: &ClaimedJob,
    error: &JobError,
    lost: &CancellationToken,
) -> Ending {
    let lease = job.lease;
    if matches!(error, JobError::Db(DbError::CommitsLost)) {
        context.metrics.commits_lost.inc();
        warn!(
            event = "commits_lost",
            sync.id = job.sync_id,
            job.id = lease.job,
            job.attempt = lease.attempt,
            "Postgres lost confirmed commits, as after a failover; attempt ended without a write"
        );
    }
    if error.verdict() == Verdict::Leave {
        info!(
            event = "attempt_left",
            job.id = lease.job,
            job.attempt = lease.attempt,
            error = error_chain(error),
            "attempt ended; its job was cancelled or belongs to another attempt"
        );
        return Ending::Left;
    }
    let mut refusals = 0;
    loop {
        let written = write_end(context, job, error).await;
        context.faults.record_write("ends", &written);
        match written {
            Ok(ending) => return ending,
            Err(JobError::Db(DbError::LeaseLost)) => return Ending::Left,
            Err(second) => {
                log_unwritten(lease, &second);
                if is_unavailable(&second) {
                    context.database.doubt();
                } else {
                    refusals += 1;
                }
                // No heartbeat extends the lease any more. Once it has expired, the rescuer releases the job.
                if refusals >= MOST_REFUSALS {
                    return Ending::Left;
                }
            }
        }
        let answers = async {
            sleep(WRITE_PAUSE).await;
            context.database.up().await;
        };
        tokio::select! {
            () = answers => {}
            () = lost.cancelled() => return Ending::Left,
            () = drained(context) => return Ending::Left,
        }
    }
}

fn is_unavailable(error: &JobError) -> bool {
    matches!(error, JobError::Db(error) if error.is_unavailable())
}

/// Logs that the end of an attempt was not recorded. The board of waits warns once a minute about an unavailable
/// database.
fn log_unwritten(lease: Lease, error: &JobError) {
    const MESSAGE: &str = "could not record the end of an attempt, retrying";
    let cause = error_chain(error);
    if is_unavailable(error) {
        debug!(event = "attempt_end_not_written", job.id = lease.job, error = cause, "{MESSAGE}");
    } else {
        warn!(event = "attempt_end_not_written", job.id = lease.job, error = cause, "{MESSAGE}");
    }
}

/// Writes what happens to the job.
async fn write_end(context: &Context, job: &ClaimedJob, error: &JobError) -> Result<Ending, JobError> {
    let mut client = context.db.client().await?;
    let writing = async {
        let tx = client.transaction().await.map_err(DbError::from)?;
        let failures = jobs::hold(&tx, job.lease).await?;
        let end = End::of(context, failures, error);
        end.write(job.lease, &tx, error).await?;
        tx.commit().await.map_err(DbError::from)?;
        end.log(job, error);
        Ok(end.ending())
    };
    timeout(context.db.patience(), writing).await.unwrap_or_else(|_| {
        // The connection may be half-open: it must not go back to the pool.
        drop(Client::take(client));
        Err(JobError::Db(DbError::Silent))
    })
}
