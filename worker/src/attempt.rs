//! One attempt: page after page until the range ends, the quantum is used or something fails.
//!
//! A page is *performed* (storage calls, no transaction open) and then *recorded* (one transaction,
//! no storage call). While one page commits, the next is already performed. Stop anywhere and the
//! next attempt starts at the first page that did not commit.

use std::time::Duration;

use futures::future::OptionFuture;
use longshore_db::jobs::{self, Claimed};
use longshore_db::{Client, Error as DbError, Transaction};
use longshore_model::FailureReason;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::context::Context;
use crate::job_error::{JobError, Verdict, backoff};
use crate::jobs::{Handler, Page, open};
use crate::metrics::Ending;
use crate::places::Quantum;

/// How often an attempt commits that finds nothing to write. A commit for each such page would cost
/// more than its listing; too rarely would let progress and cancellation wait.
const IDLE_COMMITS: Duration = Duration::from_secs(1);

/// What happens to the job with a page.
enum Step {
    /// The range is done.
    Complete,
    /// More to do, and time to do it.
    Continue,
    /// More to do, later: the quantum is used or the worker drains.
    Release,
    /// Some of the page failed in a way that may pass.
    Retry(JobError),
}

/// Runs a claimed job and says how the attempt ended.
///
/// Never fails: what cannot be written now is found by the rescuer once the lease expires.
pub(crate) async fn run(context: &Context, claimed: &Claimed, quantum: &Quantum, lost: &CancellationToken) -> Ending {
    let worked = tokio::select! {
        worked = work(context, claimed, quantum) => worked,
        () = lost.cancelled() => Err(JobError::Db(DbError::LeaseLost)),
        () = drained(context) => Err(JobError::Draining),
    };
    match worked {
        Ok(ending) => ending,
        Err(error) => give_back(context, claimed, &error).await,
    }
}

/// Resolves once a drain has lasted too long for the page at hand.
async fn drained(context: &Context) {
    context.stop.cancelled().await;
    sleep(context.config.drain).await;
}

async fn work(context: &Context, claimed: &Claimed, quantum: &Quantum) -> Result<Ending, JobError> {
    let mut committed_at = Instant::now();
    let mut handler = open(context, claimed).await?;
    let mut page = perform(context, claimed, quantum, handler.as_mut()).await?;
    loop {
        let step = match page.failure.take() {
            Some(error) => Step::Retry(error),
            None if page.last => Step::Complete,
            None if quantum.is_over() => Step::Release,
            None => Step::Continue,
        };
        let go_on = matches!(step, Step::Continue);
        if go_on && page.is_idle() && committed_at.elapsed() < IDLE_COMMITS {
            // The next page may wait for the whole budget, which this one would be a part of.
            drop(page.reserved.take());
            let mut next = perform(context, claimed, quantum, handler.as_mut()).await?;
            next.absorb(page);
            page = next;
            continue;
        }
        let ahead: OptionFuture<_> = go_on.then(|| perform(context, claimed, quantum, handler.as_mut())).into();
        // The page goes with its commit: one ahead may wait for the memory that this one holds.
        let (committed, next) = tokio::join!(commit_or_isolate(context, claimed, page, &step), ahead);
        committed?;
        committed_at = Instant::now();
        match (step, next) {
            (Step::Continue, Some(next)) => page = next?,
            (Step::Complete, _) => return Ok(Ending::Completed),
            (Step::Retry(_), _) => return Ok(Ending::Retried),
            (Step::Release | Step::Continue, _) => return Ok(Ending::Released),
        }
    }
}

async fn perform(
    context: &Context,
    claimed: &Claimed,
    quantum: &Quantum,
    handler: &mut dyn Handler,
) -> Result<Page, JobError> {
    let started = Instant::now();
    let page = handler.perform(quantum).await?;
    context.metrics.page(claimed.kind, started);
    Ok(page)
}

/// Commits a page. If the database refuses a value in it, the object it came from is set aside and
/// the rest is committed.
async fn commit_or_isolate(context: &Context, claimed: &Claimed, mut page: Page, step: &Step) -> Result<(), JobError> {
    match commit(context, claimed, &page, step).await {
        Err(JobError::Db(error)) if error.is_data_exception() => {
            info!(job.id = claimed.lease.job, error = %error, "the database refuses a value of a page: looking for it");
            let mut client = context.db.client().await?;
            page.isolate(context, claimed, &mut client).await?;
            drop(client);
            commit(context, claimed, &page, step).await
        }
        committed => committed,
    }
}

async fn commit(context: &Context, claimed: &Claimed, page: &Page, step: &Step) -> Result<(), JobError> {
    let started = Instant::now();
    let mut client = context.db.client().await?;
    let Ok(committed) = timeout(context.db.patience(), commit_on(context, claimed, page, step, &mut client)).await
    else {
        // The connection may be half-open: it must not go back to the pool.
        drop(Client::take(client));
        warn!(job.id = claimed.lease.job, "a page did not commit in time: its connection is given up");
        return Err(JobError::Db(DbError::Silent));
    };
    committed?;
    context.metrics.commit.observe(started.elapsed().as_secs_f64());
    context.metrics.committed(&page.counts, page.reasons());
    info!(
        sync.id = claimed.sync_id,
        job.id = claimed.lease.job,
        job.attempt = claimed.lease.attempt,
        storage.id = claimed.storage_id,
        created = page.counts.created,
        existed = page.counts.existed,
        exported = page.counts.exported,
        quarantined = page.counts.quarantined,
        "page committed"
    );
    Ok(())
}

async fn commit_on(
    context: &Context,
    claimed: &Claimed,
    page: &Page,
    step: &Step,
    client: &mut Client,
) -> Result<(), JobError> {
    let lease = claimed.lease;
    let tx = client.transaction().await.map_err(DbError::from)?;
    let failures = jobs::hold(&tx, lease).await?;
    page.record(context, claimed, &tx).await?;
    let progressed = !matches!(step, Step::Retry(_)) || page.counts.imported + page.counts.exported > 0;
    jobs::advance(&tx, lease, page.cursor.as_deref(), &page.counts, progressed).await?;
    jobs::split(&tx, lease, &page.split).await?;
    match step {
        Step::Continue => {}
        Step::Complete => jobs::complete(&tx, lease).await?,
        Step::Release => jobs::release(&tx, lease).await?,
        Step::Retry(error) => {
            let failures = if progressed { 0 } else { failures };
            fail(context, claimed, &tx, failures, error).await?;
        }
    }
    Ok(tx.commit().await.map_err(DbError::from)?)
}

/// Writes what becomes of the job after a failure.
async fn fail(
    context: &Context,
    claimed: &Claimed,
    tx: &Transaction<'_>,
    failures: i32,
    error: &JobError,
) -> Result<Ending, JobError> {
    let lease = claimed.lease;
    let detail = |reason: FailureReason| format!("{} ({})", reason.advice(), error.chain());
    match error.verdict() {
        Verdict::Leave => Ok(Ending::Left),
        Verdict::Release => {
            jobs::release(tx, lease).await?;
            Ok(Ending::Released)
        }
        Verdict::Retry { reason, at_least } if failures + 1 < context.config.max_failures => {
            let delay = backoff(failures, at_least);
            warn!(
                sync.id = claimed.sync_id,
                job.id = lease.job,
                job.attempt = lease.attempt,
                reason = reason.as_str(),
                delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
                error = error.chain(),
                "attempt failed, tried again later"
            );
            jobs::retry_later(tx, lease, delay, reason, &detail(reason)).await?;
            Ok(Ending::Retried)
        }
        Verdict::Retry { reason, .. } | Verdict::Discard { reason } => {
            warn!(
                sync.id = claimed.sync_id,
                job.id = lease.job,
                job.attempt = lease.attempt,
                reason = reason.as_str(),
                error = error.chain(),
                "job discarded"
            );
            jobs::discard(tx, lease, reason, &detail(reason)).await?;
            Ok(Ending::Discarded)
        }
    }
}

/// Gives a job back after a failure outside of a page's commit.
async fn give_back(context: &Context, claimed: &Claimed, error: &JobError) -> Ending {
    if error.verdict() == Verdict::Leave {
        info!(
            job.id = claimed.lease.job,
            job.attempt = claimed.lease.attempt,
            error = error.chain(),
            "attempt ends without a word"
        );
        return Ending::Left;
    }
    let told = timeout(context.db.patience(), async {
        let mut client = context.db.client().await?;
        let tx = client.transaction().await.map_err(DbError::from)?;
        let failures = jobs::hold(&tx, claimed.lease).await?;
        let ending = fail(context, claimed, &tx, failures, error).await?;
        tx.commit().await.map_err(DbError::from)?;
        Ok::<_, JobError>(ending)
    })
    .await;
    match told {
        Ok(Ok(ending)) => ending,
        Ok(Err(JobError::Db(DbError::LeaseLost))) => Ending::Left,
        Ok(Err(second)) => {
            warn!(job.id = claimed.lease.job, error = second.chain(), "a failed attempt could not be written down");
            Ending::Left
        }
        Err(_) => Ending::Left,
    }
}
