//! What a worker does with each kind of job.

pub(crate) mod ahead;
mod delete;
mod export;
mod import;

use async_trait::async_trait;
use longshore_db::lifecycle::Claimed;
use longshore_db::{Client, Counts, Transaction};
use longshore_model::{JobKind, QuarantineReason};

use crate::context::{Context, Reserved};
use crate::job_error::JobError;
use crate::places::Quantum;

/// Why an object is quarantined that ended its workers, and what to do about it.
pub(crate) const POISON: &str = "Every worker that worked on this object alone stopped or stalled. Look at the workers' \
                                 logs and memory limit, correct the object or raise the limit, then replay it.";

/// The storage side of a job: prepares one page after the other.
#[async_trait]
pub(crate) trait Handler: Send {
    /// Prepares the next page. Storage calls and reading queries only; no transaction is open.
    ///
    /// While the quantum lasts it may begin what the page after that needs.
    async fn perform(&mut self, quantum: &Quantum) -> Result<Page, JobError>;
}

/// A prepared page: everything that one transaction will write.
pub(crate) struct Page {
    pub(crate) counts: Counts,
    /// Keys or units that it went through: they do not end a worker.
    pub(crate) passed: i32,
    /// Where the next attempt starts once this page is committed; `None` leaves it where it was.
    pub(crate) cursor: Option<String>,
    /// Whether the range ends with this page.
    pub(crate) last: bool,
    /// Why some of the page has to be tried again; the rest is committed.
    pub(crate) failure: Option<JobError>,
    pub(crate) writes: Writes,
    /// Where the rest of the job's range is cut, so that others can take parts of it.
    pub(crate) split: Vec<String>,
    /// The memory that the page's objects take.
    pub(crate) reserved: Option<Reserved>,
}

/// What a page writes, by kind of job.
pub(crate) enum Writes {
    Import(import::Writes),
    Export(export::Writes),
    Delete(delete::Writes),
}

impl Page {
    /// Whether its commit would only move the cursor and count.
    pub(crate) fn is_idle(&self) -> bool {
        let writes = match &self.writes {
            Writes::Import(writes) => !writes.is_empty(),
            Writes::Export(writes) => !writes.is_empty(),
            Writes::Delete(writes) => !writes.is_empty(),
        };
        !writes && self.split.is_empty()
    }

    /// Takes over the counts and the cursor of the idle page before it, which then need no commit.
    pub(crate) fn absorb(&mut self, before: Self) {
        self.counts += before.counts;
        self.cursor = self.cursor.take().or(before.cursor);
    }

    /// Writes the page in the caller's transaction, which holds the lease. No storage call.
    pub(crate) async fn record(
        &self,
        context: &Context,
        claimed: &Claimed,
        tx: &Transaction<'_>,
    ) -> Result<(), JobError> {
        match &self.writes {
            Writes::Import(writes) => writes.record(context, claimed, tx).await,
            Writes::Export(writes) => writes.record(claimed, tx).await,
            Writes::Delete(writes) => writes.record(claimed, tx).await,
        }
    }

    /// Moves objects with values that the database refuses from the page to its quarantine.
    pub(crate) async fn isolate(
        &mut self,
        context: &Context,
        claimed: &Claimed,
        client: &mut Client,
    ) -> Result<(), JobError> {
        match &mut self.writes {
            Writes::Import(writes) => writes.isolate(context, claimed, client, &mut self.counts).await,
            // Exports write only what came out of the database.
            Writes::Export(_) | Writes::Delete(_) => Ok(()),
        }
    }

    /// Why each object that the page sets aside is set aside.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = QuarantineReason> {
        let aside = match &self.writes {
            Writes::Import(writes) => writes.aside.as_slice(),
            Writes::Export(writes) => writes.aside.as_slice(),
            Writes::Delete(_) => &[],
        };
        aside.iter().map(|row| row.reason)
    }
}

/// Opens the storage of a claimed job and prepares its handler.
pub(crate) async fn open<'a>(context: &'a Context, claimed: &'a Claimed) -> Result<Box<dyn Handler + 'a>, JobError> {
    let read = async { context.host.storage(&context.db.client().await?, claimed.storage_id, claimed.sync_id).await };
    let storage = context.db.in_time(read).await?;
    let store = context.stores.open(&storage.settings, &storage.secrets)?;
    Ok(match claimed.kind {
        JobKind::Import => Box::new(import::Import::new(context, claimed, storage, store).await?),
        JobKind::Export => Box::new(export::Export::new(context, claimed, storage, store).await?),
        JobKind::Delete => Box::new(delete::Delete::new(context, claimed, storage, store)),
    })
}
