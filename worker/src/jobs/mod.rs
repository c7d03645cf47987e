//! What a worker does with each kind of job: one handler a kind, whose pages the attempt commits.

mod delete;
mod export;
mod import;
pub(crate) mod prefetch;

use async_trait::async_trait;
use longshore_db::lifecycle::ClaimedJob;
use longshore_db::quarantine::QuarantinedObject;
use longshore_db::{Client, Counts, Transaction};
use longshore_model::JobKind;

use crate::context::Context;
use crate::job_error::JobError;
use crate::memory::Reservation;
use crate::slots::Quantum;

/// The storage side of a job: prepares one page after the other.
#[async_trait]
pub(crate) trait Handler: Send {
    /// Prepares the next page. Storage calls and reading queries only; no transaction is open.
    ///
    /// While the quantum lasts it may start what the page after that needs.
    async fn perform(&mut self, quantum: &Quantum) -> Result<Page, JobError>;
}

/// The database side of a page: what its commit writes.
#[async_trait]
pub(crate) trait Writes: Send + Sync {
    /// Whether there is nothing to write.
    fn is_empty(&self) -> bool;

    /// Writes everything in the caller's transaction, which holds the job. No storage call.
    async fn record(&self, context: &Context, job: &ClaimedJob, tx: &Transaction<'_>) -> Result<(), JobError>;

    /// Moves objects with values that the database refuses to the quarantine, and corrects the counts. The default is for
    /// kinds whose values all come out of the database.
    async fn isolate(
        &mut self,
        _context: &Context,
        _job: &ClaimedJob,
        _client: &mut Client,
        _counts: &mut Counts,
    ) -> Result<(), JobError> {
        Ok(())
    }

    /// The objects that it puts into quarantine.
    fn quarantined(&self) -> &[QuarantinedObject] {
        &[]
    }
}

/// A prepared page: everything that one transaction will write.
pub(crate) struct Page {
    pub(crate) counts: Counts,
    /// Keys or units that it covers: they do not end a worker.
    pub(crate) passed: i32,
    /// Where the next attempt starts once this page is committed; `None` leaves it where it was.
    pub(crate) cursor: Option<String>,
    /// Whether the range ends with this page.
    pub(crate) last: bool,
    /// Why some of the page has to be tried again; the rest is committed.
    pub(crate) failure: Option<JobError>,
    pub(crate) writes: Box<dyn Writes>,
    /// Where the rest of the job's range is split for idle slots.
    pub(crate) split: Vec<String>,
    /// The memory that the page's objects take.
    pub(crate) reserved: Option<Reservation>,
}

impl Page {
    /// Whether its commit would only move the cursor and count.
    pub(crate) fn is_idle(&self) -> bool {
        self.writes.is_empty() && self.split.is_empty()
    }

    /// Takes over the counts and the cursor of the idle page before it, which then need no commit.
    pub(crate) fn absorb(&mut self, before: Self) {
        self.counts += before.counts;
        self.cursor = self.cursor.take().or(before.cursor);
    }
}

/// Opens the storage of a claimed job and prepares its handler.
pub(crate) async fn open<'a>(context: &'a Context, job: &'a ClaimedJob) -> Result<Box<dyn Handler + 'a>, JobError> {
    let read = async { context.host.storage(&context.db.client().await?, job.storage_id, job.sync_id).await };
    let storage = context.db.in_time(read).await?;
    let store = context.stores.open(&storage.settings, &storage.secrets)?;
    Ok(match job.kind {
        JobKind::Import => Box::new(import::Import::new(context, job, storage, store).await?),
        JobKind::Export => Box::new(export::Export::new(context, job, storage, store).await?),
        JobKind::Delete => Box::new(delete::Delete::new(context, job, storage, store)),
    })
}
