//! Selects what a page of an export writes: reads units from the host and makes their bodies.

mod poison;
mod prepare;
mod read;

use std::sync::Arc;

use longshore_db::Db;
use longshore_db::host::{Host, JobStorage, Selection};
use longshore_db::jobs::Lease;
use longshore_db::lifecycle::ClaimedJob;
use longshore_db::quarantine::QuarantinedObject;
use longshore_model::{ExportMode, ExportOptions, QuarantineReason};

use super::size::PAGE_BYTES;
pub(super) use super::size::Size;
use crate::context::Context;
use crate::job_error::JobError;
use crate::memory::{MemoryBudget, Reservation};
pub(super) use prepare::PreparedObject;
use read::{Leftover, Units};

/// Units that a page covers: the same number as keys in a page of an import.
const PAGE_UNITS: i64 = 1_000;

/// The source of a job's pages.
pub(super) struct Source {
    db: Db,
    host: Arc<dyn Host>,
    memory: MemoryBudget,
    pub(super) storage: JobStorage,
    options: ExportOptions,
    sync_id: i64,
    /// Units that a page covers; fewer once the job has ended its worker several times.
    page_units: i64,
    /// The lease of the attempt, if it processes single units to find the one that ends its worker.
    lone: Option<Lease>,
    /// The unit that is known to end its worker.
    poison: Option<i64>,
    /// Units up to this id exist; later ones belong to the next sync.
    until: i64,
}

/// A page to write, in ascending order of unit IDs.
pub(super) struct SelectedPage {
    pub(super) prepared: Vec<PreparedObject>,
    /// A unit that can never be written. It is the last of the page.
    pub(super) quarantined: Option<QuarantinedObject>,
    /// Where the next page starts.
    pub(super) until: i64,
    /// Whether there are units after `until`.
    pub(super) more: bool,
    /// Units that the page covers.
    pub(super) walked: i64,
    /// How much memory it has.
    pub(super) size: Size,
    pub(super) reserved: Reservation,
}

impl Source {
    /// # Errors
    /// The database is unavailable, or the sync's options cannot be read.
    pub(super) async fn new(
        context: &Context,
        job: &ClaimedJob,
        storage: JobStorage,
        until: Option<i64>,
    ) -> Result<Self, JobError> {
        let options = serde_json::from_str(&job.options).map_err(|error| JobError::Settings(error.to_string()))?;
        let (db, per_task) = (context.db.clone(), storage.export_format.per_task);
        let read = async { context.host.last_unit_id(&db.client().await?, storage.project_id, per_task).await };
        let last = db.in_time(read).await?;
        Ok(Self {
            db,
            host: Arc::clone(&context.host),
            memory: context.memory.clone(),
            storage,
            options,
            sync_id: job.sync_id,
            lone: (job.page_limit() == Some(1)).then_some(job.lease),
            poison: job.poison.as_deref().and_then(|unit_id| unit_id.parse().ok()),
            page_units: job.page_limit().map_or(PAGE_UNITS, |limit| PAGE_UNITS.min(limit.into())),
            until: until.map_or(last, |until| until.min(last)),
        })
    }

    pub(super) fn unit(&self) -> &'static str {
        if self.per_task() { "task" } else { "annotation" }
    }

    /// Which units the export writes.
    pub(super) fn mode(&self) -> ExportMode {
        self.options.mode
    }

    /// Whether the export covers all tasks, not only some.
    pub(super) fn is_of_all_tasks(&self) -> bool {
        self.options.tasks.is_empty()
    }

    /// How many units the object of these annotations counts as: one, or each of its annotations.
    pub(super) fn count(&self, annotation_ids: &[i64]) -> i64 {
        if self.storage.export_format.counts_annotations {
            i64::try_from(annotation_ids.len()).unwrap_or(i64::MAX)
        } else {
            1
        }
    }

    fn per_task(&self) -> bool {
        self.storage.export_format.per_task
    }

    /// Reads the units after an ID and makes their bodies. A unit that is larger than a page is read again with more
    /// memory; one that is larger than the limit is not read, and returned for the quarantine.
    ///
    /// # Errors
    /// The database is unavailable.
    pub(super) async fn select(self: Arc<Self>, after: i64) -> Result<SelectedPage, JobError> {
        if let Some(lease) = self.lone
            && let Some(selected) = self.single_out(lease, after).await?
        {
            return Ok(selected);
        }
        let mut size = Size::Usual;
        loop {
            // While it waits for memory, this page holds none: pages with memory need no more and will free theirs.
            let reserved = self.memory.reserve(size.memory(self.memory.max_bytes())).await;
            let page = match self.read(after, size, self.page_units).await {
                Err(error) if error.is_unreadable_row() => self.read_one_by_one(after, size, error).await?,
                read => read?,
            };
            let Units { units, mut walked, mut until, mut more, mut leftover } = page;
            let mut prepared = Vec::new();
            if leftover.is_none() {
                let cut;
                (prepared, cut) = self.prepare(units, size).await?;
                if let Some(unit_id) = cut {
                    // The page covers all units before this one, also those that are not written.
                    (until, more) = (unit_id - 1, true);
                    walked = i64::try_from(prepared.len()).unwrap_or(i64::MAX);
                    leftover = prepared.is_empty().then_some(Leftover::TooLarge { unit_id, bytes: None });
                }
            }
            let quarantined = match (leftover, size.next()) {
                (None, _) => None,
                (Some(Leftover::TooLarge { bytes, .. }), Some(next)) if self.may_fit(bytes) => {
                    size = next;
                    continue;
                }
                (Some(leftover), _) => {
                    let (Leftover::TooLarge { unit_id, .. } | Leftover::Unreadable { unit_id }) = leftover;
                    (until, more) = (unit_id, true);
                    Some(self.too_large(&leftover))
                }
            };
            return Ok(SelectedPage { prepared, quarantined, until, more, walked, size, reserved });
        }
    }

    /// Whether a unit of this many bytes can be read with the whole budget.
    fn may_fit(&self, bytes: Option<usize>) -> bool {
        bytes.is_none_or(|bytes| bytes <= Size::Largest.unit_bytes(self.memory.max_bytes()))
    }

    fn selection(&self, after: i64, size: Size, limit: i64) -> Selection<'_> {
        Selection {
            project_id: self.storage.project_id,
            storage_id: self.storage.id,
            sync_id: self.sync_id,
            options: &self.options,
            after,
            until: self.until,
            limit,
            // A unit that is larger than a page is read alone.
            bytes: if size == Size::Usual { PAGE_BYTES } else { 1 },
            unit_bytes: size.unit_bytes(self.memory.max_bytes()),
        }
    }

    /// The quarantine row of a unit that can never be written, with the key that its object would have.
    fn too_large(&self, leftover: &Leftover) -> QuarantinedObject {
        let kind = self.unit();
        let (unit_id, detail) = match leftover {
            Leftover::TooLarge { unit_id, .. } => {
                let most = Size::Largest.unit_bytes(self.memory.max_bytes());
                let detail = format!(
                    "The {kind} with what belongs to it takes more than {most} bytes, or its object more memory than the \
                     workers' LONGSHORE_MEMORY_MB. Remove annotations or make them smaller."
                );
                (*unit_id, detail)
            }
            Leftover::Unreadable { unit_id } => {
                let detail = format!(
                    "The database cannot print the {kind} or its task: with numbers such as 1e131071 written out, a value \
                     has more than 1 GB. Write such numbers as strings."
                );
                (*unit_id, detail)
            }
        };
        QuarantinedObject::unit(unit_id, self.key(unit_id), QuarantineReason::TooLarge, detail)
    }
}
