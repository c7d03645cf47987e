//! One attempt: it processes page after page until the range ends, the quantum is over or something fails.
//!
//! A page is *performed* (storage calls, no open transaction) and then *recorded* (one transaction, no storage call).
//! While one page commits, the next is already performed. An attempt may stop anywhere: the next attempt starts at the
//! first page that did not commit.

mod end;

use std::time::Duration;

use futures::future::OptionFuture;
use longshore_db::jobs::{self, Fence, Progress};
use longshore_db::lifecycle::{self, ClaimedJob};
use longshore_db::{Client, Counts, Error as DbError};
use longshore_telemetry::error_chain;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::context::Context;
use crate::job_error::JobError;
use crate::jobs::{Handler, Page, open};
use crate::metrics::Ending;
use crate::slots::Quantum;

use end::End;
pub(crate) use end::give_back;

/// How often an attempt commits while it finds nothing to write. A commit of each such page would cost more than its
/// listing; with fewer commits, progress and cancellation would be late.
const IDLE_COMMITS: Duration = Duration::from_secs(1);

/// What happens to the job with a page.
enum Step {
    /// The range is finished.
    Complete,
    /// The attempt continues with the next page.
    Continue,
    /// The rest is for a later attempt: the quantum is over, or the worker drains.
    Release,
    /// A part of the page failed. The error decides whether the job is tried again or discarded.
    Fail(JobError),
}

/// Runs a claimed job and returns how the attempt ended.
///
/// Never fails: if this process cannot record the end, the rescuer finds the job once its lease has expired.
pub(crate) async fn run(context: &Context, job: &ClaimedJob, quantum: &Quantum, lost: &CancellationToken) -> Ending {
    let worked = tokio::select! {
        worked = work(context, job, quantum) => worked,
        () = lost.cancelled() => Err(JobError::Db(DbError::LeaseLost)),
        () = drained(context) => Err(JobError::Draining),
    };
    match worked {
        Ok(ending) => ending,
        Err(error) => {
            if matches!(&error, JobError::Db(error) if error.is_of_changed_tables()) {
                // The next attempt prepares them again.
                context.db.forget_statements();
            }
            give_back(context, job, &error, lost).await
        }
    }
}

/// Resolves once the drain time for the current page is over.
async fn drained(context: &Context) {
    context.stop.cancelled().await;
    sleep(context.config.drain).await;
}

async fn work(context: &Context, job: &ClaimedJob, quantum: &Quantum) -> Result<Ending, JobError> {
    if job.is_lost_for_good() {
        return Err(JobError::WorkerLost);
    }
    if let Some(keys) = job.page_limit() {
        context.db.in_time(async { jobs::mark_alone(&context.db.client().await?, job.lease, keys).await }).await?;
    }
    let mut committed_at = Instant::now();
    let mut fence = job.fence();
    let mut suspicion = Suspicion::of(job);
    let mut handler = open(context, job).await?;
    let mut page = perform(context, job, quantum, handler.as_mut()).await?;
    loop {
        let cleared = suspicion.is_cleared_by(page.passed);
        let step = match page.failure.take() {
            Some(error) => Step::Fail(error),
            None if page.last => Step::Complete,
            // The next attempt need not run alone.
            None if (quantum.is_over() || cleared) && !page.holds => Step::Release,
            None => Step::Continue,
        };
        let continues = matches!(step, Step::Continue);
        if continues && page.is_idle() && committed_at.elapsed() < IDLE_COMMITS && suspicion.is_none() {
            // The next page may need the whole memory budget, including this page's part.
            drop(page.reserved.take());
            let mut next = perform(context, job, quantum, handler.as_mut()).await?;
            next.absorb(page);
            page = next;
            continue;
        }
        let cursor = page.cursor.clone();
        // No prefetch during a search for poison: if this worker dies, it must be clear which page it was.
        let is_ahead = continues && suspicion.is_none();
        let ahead: OptionFuture<_> = is_ahead.then(|| perform(context, job, quantum, handler.as_mut())).into();
        // The commit owns the page and frees its memory: the next page may wait for it.
        let (committed, next) = tokio::join!(commit_or_isolate(context, job, &fence, page, &step), ahead);
        if let Some(ending) = committed? {
            return Ok(ending);
        }
        fence.committed(cursor.as_deref());
        committed_at = Instant::now();
        page = match next {
            Some(next) => next?,
            None => perform(context, job, quantum, handler.as_mut()).await?,
        };
    }
}

/// The number of keys after the cursor of which one may end the worker.
struct Suspicion(Option<i32>);

impl Suspicion {
    fn of(job: &ClaimedJob) -> Self {
        Self(job.suspects)
    }

    fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Removes keys that did not end the worker. Returns whether none are left.
    fn is_cleared_by(&mut self, passed: i32) -> bool {
        let Some(suspects) = &mut self.0 else { return false };
        *suspects = suspects.saturating_sub(passed);
        *suspects <= 0
    }
}

async fn perform(
    context: &Context,
    job: &ClaimedJob,
    quantum: &Quantum,
    handler: &mut dyn Handler,
) -> Result<Page, JobError> {
    let started = Instant::now();
    let page = handler.perform(quantum).await?;
    context.metrics.page(job.kind, started);
    Ok(page)
}

/// Commits a page. If objects in it are outdated, writes them again before. If the database refuses a value in it,
/// quarantines the object with that value and commits the rest.
/// Returns how the attempt ended; `None` if it continues.
async fn commit_or_isolate(
    context: &Context,
    job: &ClaimedJob,
    fence: &Fence,
    mut page: Page,
    step: &Step,
) -> Result<Option<Ending>, JobError> {
    let mut committed = commit(context, job, fence, &page, step).await;
    while let Err(JobError::Outdated(outdated)) = &committed {
        page.writes.renew(outdated, &mut page.counts).await?;
        committed = commit(context, job, fence, &page, step).await;
    }
    context.faults.record_write("commits", &committed);
    match committed {
        Err(JobError::Db(error)) if error.is_data_exception() => {
            info!(
                event = "page_value_refused",
                job.id = job.lease.job,
                error = error_chain(&error),
                "Postgres rejected a value of the page; quarantining its object"
            );
            let mut client = context.db.client().await?;
            page.writes.isolate(context, job, &mut client, &mut page.counts).await?;
            drop(client);
            commit(context, job, fence, &page, step).await
        }
        committed => committed,
    }
}

async fn commit(
    context: &Context,
    job: &ClaimedJob,
    fence: &Fence,
    page: &Page,
    step: &Step,
) -> Result<Option<Ending>, JobError> {
    let started = Instant::now();
    let mut client = context.db.client().await?;
    let committing = commit_on(context, job, fence, page, step, &mut client);
    let Ok(committed) = timeout(context.db.patience(), committing).await else {
        // The connection may be half-open: it must not go back to the pool.
        drop(Client::take(client));
        warn!(
            event = "commit_timed_out",
            job.id = job.lease.job,
            "page commit timed out; its database connection is closed"
        );
        return Err(JobError::Db(DbError::Silent));
    };
    let (ending, counts) = committed?;
    context.metrics.commit.observe(started.elapsed().as_secs_f64());
    context.metrics.committed(&counts, page.writes.quarantined());
    info!(
        event = "page_committed",
        sync.id = job.sync_id,
        job.id = job.lease.job,
        job.attempt = job.lease.attempt,
        storage.id = job.storage_id,
        created = counts.created,
        existed = counts.existed,
        exported = counts.exported,
        quarantined = counts.quarantined,
        deleted_tasks = counts.deleted_tasks,
        "page committed"
    );
    Ok(ending)
}

async fn commit_on(
    context: &Context,
    job: &ClaimedJob,
    fence: &Fence,
    page: &Page,
    step: &Step,
    client: &mut Client,
) -> Result<(Option<Ending>, Counts), JobError> {
    let lease = job.lease;
    let tx = client.transaction().await.map_err(DbError::from)?;
    let failures = jobs::hold_at(&tx, fence).await?;
    let mut counts = page.counts;
    counts += page.writes.record(context, job, &tx).await?;
    let progressed = !matches!(step, Step::Fail(_)) || page.counts.imported + page.counts.exported > 0;
    let progress = Progress {
        extend_by: context.config.lease,
        cursor: page.cursor.as_deref(),
        counts: &counts,
        is_progress: progressed,
        passed_keys: page.passed,
    };
    lifecycle::record_page(&tx, lease, &progress, &page.split).await?;
    let ending = match step {
        Step::Continue => None,
        Step::Complete => {
            lifecycle::complete(&tx, lease).await?;
            Some(Ending::Completed)
        }
        Step::Release => {
            lifecycle::release(&tx, lease, Duration::ZERO).await?;
            Some(Ending::Released)
        }
        Step::Fail(error) => {
            let end = End::of(context, if progressed { 0 } else { failures }, error);
            end.write(lease, &tx, error).await?;
            tx.commit().await.map_err(DbError::from)?;
            end.log(job, error);
            return Ok((Some(end.ending()), counts));
        }
    };
    tx.commit().await.map_err(DbError::from)?;
    Ok((ending, counts))
}
