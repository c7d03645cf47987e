//! Export: writes each new or changed annotation of a project as an object.
//!
//! The row in `exports` is written only after the storage has confirmed the object. After a crash between the two
//! steps, the same object is written again under the same key, so no object is lost or duplicated.

mod record;
mod selection;
mod size;
mod target;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use longshore_db::Counts;
use longshore_db::host::JobStorage;
use longshore_db::lifecycle::ClaimedJob;
use longshore_db::quarantine::QuarantinedObject;
use longshore_model::{FailureReason, QuarantineReason};
use longshore_storage::{ErrorKind, Probe, Storage};

use crate::context::Context;
use crate::job_error::JobError;
use crate::jobs::prefetch::Prefetch;
use crate::jobs::{Handler, Page};
use crate::quarantine::refused_unit;
use crate::slots::Quantum;
use record::{ExportWrites, REWRITES};
use selection::{PreparedObject, SelectedPage, Source};
use writer::{FailedPut, Writer, WrittenObject};

/// The export of one ID range.
pub(crate) struct Export<'a> {
    context: &'a Context,
    job: &'a ClaimedJob,
    source: Arc<Source>,
    writer: Arc<Writer>,
    after: i64,
    /// The selection of the page after the current one.
    prefetched: Option<Prefetch<Result<SelectedPage, JobError>>>,
    /// Whether nothing was written yet: objects of earlier exports are looked for first.
    is_first_page: bool,
}

impl<'a> Export<'a> {
    /// Prepares the export of a claimed job's range.
    ///
    /// # Errors
    /// The database is unavailable, or the sync's options cannot be read.
    pub(crate) async fn new(
        context: &'a Context,
        job: &'a ClaimedJob,
        storage: JobStorage,
        store: Arc<dyn Storage>,
    ) -> Result<Self, JobError> {
        let id = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<i64>().ok());
        let after = id(&job.cursor).or_else(|| id(&job.range_after)).unwrap_or_default();
        let until = id(&job.range_until);
        let writer = Writer::new(context.db.clone(), Arc::clone(&context.host), storage.clone(), store);
        let source = Arc::new(Source::new(context, job, storage, until).await?);
        let is_first_page = job.commits == 0;
        Ok(Self { context, job, source, writer: Arc::new(writer), after, prefetched: None, is_first_page })
    }

    fn start_selection(&self, after: i64) -> Prefetch<Result<SelectedPage, JobError>> {
        let source = Arc::clone(&self.source);
        Prefetch::start(async move { source.select(after).await })
    }

    /// Writes the objects of a page concurrently.
    async fn write(
        &self,
        prepared: Vec<PreparedObject>,
        counts: &mut Counts,
    ) -> Result<(Vec<WrittenObject>, Vec<FailedPut>), JobError> {
        let (mut written, mut failed) = (Vec::with_capacity(prepared.len()), Vec::new());
        let mut puts = stream::iter(prepared)
            .map(|prepared| self.writer.put(prepared))
            .buffer_unordered(self.context.config.transfers);
        while let Some(put) = puts.next().await {
            match put? {
                Ok(object) => {
                    let units = self.source.count(&object.annotation_ids);
                    match object.bytes {
                        None => counts.unchanged += units,
                        Some(bytes) => {
                            counts.exported += units;
                            counts.bytes += count(bytes);
                        }
                    }
                    written.push(object);
                }
                Err(failure) => failed.push(failure),
            }
        }
        counts.failed = count(failed.len());
        Ok((written, failed))
    }

    /// Decides what happens to objects that could not be written: quarantine, or a failure of the page.
    async fn judge(&self, failed: Vec<FailedPut>, quarantined: &mut Vec<QuarantinedObject>) -> Option<JobError> {
        let gives_up = failed.iter().any(|(_, _, error)| error.is_transient()) && self.gives_up_on_objects().await;
        let mut failure = None;
        for (unit_id, key, error) in failed {
            let reason = match error.kind {
                ErrorKind::Throttled { .. } | ErrorKind::Unavailable if gives_up => QuarantineReason::Unavailable,
                ErrorKind::Invalid if error.reason == FailureReason::TooLarge => QuarantineReason::TooLarge,
                ErrorKind::Throttled { .. } | ErrorKind::Unavailable => {
                    failure = Some(JobError::from(error));
                    continue;
                }
                // Wrong credentials, a missing bucket or a stop: not a fault of this object.
                ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Cancelled => {
                    failure = Some(JobError::from(error));
                    break;
                }
            };
            quarantined.push(refused_unit(unit_id, key, reason, &error));
        }
        failure
    }

    /// Whether objects that fail now go to quarantine: this is the job's last attempt, and the storage as a whole
    /// accepts objects.
    async fn gives_up_on_objects(&self) -> bool {
        self.job.failures + 1 >= self.context.config.max_failures && self.writer.store.probe(Probe::Write).await.is_ok()
    }
}

#[async_trait]
impl Handler for Export<'_> {
    async fn perform(&mut self, quantum: &Quantum) -> Result<Page, JobError> {
        let selection = self.prefetched.take().unwrap_or_else(|| self.start_selection(self.after));
        let selected = selection.result().await?;
        let is_target_changed = std::mem::take(&mut self.is_first_page) && self.is_target_changed().await?;
        // No prefetch during a search for poison: if this worker dies, it must be clear which page it was.
        if selected.more && !quantum.is_over() && self.job.suspects.is_none() {
            self.prefetched = Some(self.start_selection(selected.until));
        }
        let prepared: i64 = selected.prepared.iter().map(|object| self.source.count(&object.annotation_ids)).sum();
        let matched = prepared + i64::from(selected.quarantined.is_some());
        let mut counts = Counts { pages: 1, matched, ..Counts::default() };
        let (written, failed) = self.write(selected.prepared, &mut counts).await?;
        let mut quarantined = Vec::from_iter(selected.quarantined);
        let failure = self.judge(failed, &mut quarantined).await;
        if failure.is_some() {
            // The page is tried again. Its quarantine rows are written once, when the cursor moves.
            quarantined.clear();
            counts.matched = counts.exported + counts.unchanged;
        } else {
            self.after = selected.until;
        }
        counts.quarantined = count(quarantined.len());
        Ok(Page {
            counts,
            passed: i32::try_from(selected.walked).unwrap_or(i32::MAX),
            cursor: failure.is_none().then(|| self.after.to_string()),
            last: failure.is_none() && !selected.more,
            holds: false,
            failure,
            writes: Box::new(ExportWrites {
                source: Arc::clone(&self.source),
                writer: Arc::clone(&self.writer),
                size: selected.size,
                written,
                orphaned: Vec::new(),
                quarantined,
                is_target_changed,
                rewrites_left: REWRITES,
            }),
            split: Vec::new(),
            // For what must be written again before the commit.
            reserved: Some(selected.reserved),
        })
    }
}

/// A length as a count. The numbers of a page are small.
fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
