//! The handlers of the job kinds. A handler prepares pages, and the attempt commits them.

mod delete;
mod delete_tasks;
mod export;
mod import;
pub(crate) mod prefetch;

use async_trait::async_trait;
use longshore_db::host::OutdatedUnit;
use longshore_db::lifecycle::ClaimedJob;
use longshore_db::quarantine::QuarantinedObject;
use longshore_db::{Client, Counts, Transaction};
use longshore_model::JobKind;

use crate::context::Context;
use crate::job_error::JobError;
use crate::memory::Reservation;
use crate::slots::Quantum;

/// The storage side of a job: prepares page after page.
#[async_trait]
pub(crate) trait Handler: Send {
    /// Prepares the next page. Makes only storage calls and read queries; no transaction is open.
    ///
    /// Until the quantum is over, it may start to prefetch the page after that.
    async fn perform(&mut self, quantum: &Quantum) -> Result<Page, JobError>;
}

/// The database side of a page: the rows that its commit writes.
#[async_trait]
pub(crate) trait Writes: Send + Sync {
    /// Whether there is nothing to write.
    fn is_empty(&self) -> bool;

    /// Writes all rows in the caller's transaction, which has locked the job. Makes no storage call. Returns what only the
    /// statements could count; it is added to the counts of the page.
    ///
    /// # Errors
    /// [`JobError::Outdated`] if [`Self::renew`] must be called before.
    async fn record(&self, context: &Context, job: &ClaimedJob, tx: &Transaction<'_>) -> Result<Counts, JobError>;

    /// Moves objects with values that the database refuses to the quarantine, and corrects the counts. The default does
    /// nothing: it is for job kinds whose values all come from the database.
    async fn isolate(
        &mut self,
        _context: &Context,
        _job: &ClaimedJob,
        _client: &mut Client,
        _counts: &mut Counts,
    ) -> Result<(), JobError> {
        Ok(())
    }

    /// Writes objects again whose units changed before [`Self::record`], and corrects the counts. Makes storage calls; no
    /// transaction is open. The default does nothing: only an export writes objects.
    async fn renew(&mut self, _outdated: &[OutdatedUnit], _counts: &mut Counts) -> Result<(), JobError> {
        Ok(())
    }

    /// The objects that the page quarantines.
    fn quarantined(&self) -> &[QuarantinedObject] {
        &[]
    }
}

/// A prepared page, which one transaction will record.
pub(crate) struct Page {
    pub(crate) counts: Counts,
    /// The number of keys or units that the page covers. They have not ended the worker.
    pub(crate) passed: i32,
    /// The job's cursor after this page; `None` keeps the current one.
    pub(crate) cursor: Option<String>,
    /// Whether the range ends with this page.
    pub(crate) last: bool,
    /// Whether the attempt goes on after this page, even if its quantum is used: another attempt would do the same work
    /// again, because the cursor cannot show it.
    pub(crate) holds: bool,
    /// Why a part of the page must be tried again; the rest is committed.
    pub(crate) failure: Option<JobError>,
    pub(crate) writes: Box<dyn Writes>,
    /// Where to split the rest of the job's range for idle slots.
    pub(crate) split: Vec<String>,
    /// The memory that is reserved for the page's objects.
    pub(crate) reserved: Option<Reservation>,
}

impl Page {
    /// Whether its commit would only update the cursor and the counts.
    pub(crate) fn is_idle(&self) -> bool {
        self.writes.is_empty() && self.split.is_empty()
    }

    /// Takes over the counts and the cursor of the idle page before it, so that it needs no commit.
    pub(crate) fn absorb(&mut self, before: Self) {
        self.counts += before.counts;
        self.cursor = self.cursor.take().or(before.cursor);
    }
}

/// Opens the storage of a claimed job and prepares its handler.
pub(crate) async fn open<'a>(context: &'a Context, job: &'a ClaimedJob) -> Result<Box<dyn Handler + 'a>, JobError> {
    let storage_id = match (&job.deletion, job.storage_id) {
        (Some(deletion), _) => return Ok(Box::new(delete_tasks::DeleteTasks::new(context, job, *deletion)?)),
        (None, Some(storage_id)) => storage_id,
        (None, None) => return Err(JobError::Settings("the sync has no storage".to_owned())),
    };
    let read = async { context.host.storage(&context.db.client().await?, storage_id, job.sync_id).await };
    let storage = context.db.in_time(read).await?;
    let store = context.stores.open(storage.project_id, &storage.settings, &storage.secrets)?;
    Ok(match job.kind {
        JobKind::Import => Box::new(import::Import::new(context, job, storage, store).await?),
        JobKind::Export => Box::new(export::Export::new(context, job, storage, store).await?),
        JobKind::Delete => Box::new(delete::Delete::new(context, job, storage, store)),
    })
}
