//! Export: writes each new or changed annotation of a project as an object.
//!
//! The row in `exports` is written only after the storage has confirmed the object. After a crash between the two
//! steps, the same object is written again under the same key, so no object is lost or duplicated.

mod selection;
mod size;
mod target;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use longshore_db::exports::{self, ExportRecord};
use longshore_db::host::JobStorage;
use longshore_db::lifecycle::ClaimedJob;
use longshore_db::quarantine::{self, QuarantinedObject};
use longshore_db::{Counts, Transaction, syncs};
use longshore_model::{FailureReason, QuarantineReason};
use longshore_storage::{ErrorKind, Probe, PutOptions, Storage, StorageError};

use crate::context::Context;
use crate::job_error::JobError;
use crate::jobs::prefetch::Prefetch;
use crate::jobs::{Handler, Page, Writes};
use crate::quarantine::refused_unit;
use crate::slots::Quantum;
use selection::{PreparedObject, SelectedPage, Source};

/// The rows that the commit of a page writes.
struct ExportWrites {
    source: Arc<Source>,
    written: Vec<ExportRecord>,
    /// The annotations in these objects.
    annotation_ids: Vec<i64>,
    quarantined: Vec<QuarantinedObject>,
    /// Keys that leave quarantine because their objects are written now.
    released: Vec<String>,
    /// Whether objects that were exported earlier are missing.
    is_target_changed: bool,
}

/// The export of one ID range.
pub(crate) struct Export<'a> {
    context: &'a Context,
    job: &'a ClaimedJob,
    source: Arc<Source>,
    store: Arc<dyn Storage>,
    put: PutOptions,
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
        let kms_key_id = storage.settings.connection.kms_key_id().map(str::to_owned);
        let put = PutOptions { content_type: Some("application/json"), kms_key_id };
        let source = Arc::new(Source::new(context, job, storage, until).await?);
        let is_first_page = job.commits == 0;
        Ok(Self { context, job, source, store, put, after, prefetched: None, is_first_page })
    }

    fn start_selection(&self, after: i64) -> Prefetch<Result<SelectedPage, JobError>> {
        let source = Arc::clone(&self.source);
        Prefetch::start(async move { source.select(after).await })
    }

    /// Writes an object unless it is unchanged.
    async fn put(&self, prepared: PreparedObject) -> Put {
        let PreparedObject { unit_id, annotation_ids, key, updated_at, digest, body } = prepared;
        let (bytes, unchanged) = (body.as_ref().map_or(0, Bytes::len), body.is_none());
        let outcome = match body {
            Some(body) => self.store.put(&key, body, &self.put).await,
            None => Ok(None),
        };
        let row = match outcome {
            Ok(etag) => Ok(ExportRecord { unit_id, key, etag, digest: digest.to_vec(), unit_updated_at: updated_at }),
            Err(error) => Err((unit_id, key, error)),
        };
        Put { row, annotation_ids, unchanged, bytes }
    }

    /// Writes the objects of a page concurrently.
    async fn write(&self, prepared: Vec<PreparedObject>, counts: &mut Counts) -> PutResults {
        let (mut written, mut failed) = (Vec::with_capacity(prepared.len()), Vec::new());
        let mut annotation_ids = Vec::with_capacity(prepared.len());
        let mut puts =
            stream::iter(prepared).map(|prepared| self.put(prepared)).buffer_unordered(self.context.config.transfers);
        while let Some(put) = puts.next().await {
            match put.row {
                Ok(row) => {
                    let units = self.source.count(&put.annotation_ids);
                    if put.unchanged {
                        counts.unchanged += units;
                    } else {
                        counts.exported += units;
                        counts.bytes += count(put.bytes);
                    }
                    written.push(row);
                    annotation_ids.extend(put.annotation_ids);
                }
                Err(failure) => failed.push(failure),
            }
        }
        counts.failed = count(failed.len());
        PutResults { written, annotation_ids, failed }
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
        self.job.failures + 1 >= self.context.config.max_failures && self.store.probe(Probe::Write).await.is_ok()
    }
}

/// A unit whose object could not be written, with its key.
type FailedPut = (i64, String, StorageError);

/// The result of one object.
struct Put {
    row: Result<ExportRecord, FailedPut>,
    annotation_ids: Vec<i64>,
    unchanged: bool,
    bytes: usize,
}

/// The result of a page's objects.
struct PutResults {
    written: Vec<ExportRecord>,
    annotation_ids: Vec<i64>,
    failed: Vec<FailedPut>,
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
        let PutResults { written, annotation_ids, failed } = self.write(selected.prepared, &mut counts).await;
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
                released: written.iter().map(|row| row.key.clone()).collect(),
                written,
                annotation_ids,
                quarantined,
                is_target_changed,
            }),
            split: Vec::new(),
            reserved: None,
        })
    }
}

#[async_trait]
impl Writes for ExportWrites {
    fn is_empty(&self) -> bool {
        self.written.is_empty() && self.quarantined.is_empty() && !self.is_target_changed
    }

    async fn record(&self, context: &Context, job: &ClaimedJob, tx: &Transaction<'_>) -> Result<(), JobError> {
        let (storage, unit) = (&self.source.storage, self.source.unit());
        exports::record(tx, storage.id, job.sync_id, unit, &self.written).await?;
        context.host.link_exports(tx, storage, &self.annotation_ids).await?;
        quarantine::insert(tx, storage.id, job.sync_id, &self.quarantined).await?;
        let released: Vec<&str> = self.released.iter().map(String::as_str).collect();
        quarantine::remove(tx, storage.id, &released).await?;
        // Last: all jobs of the sync need this row at their ends, and a delete job locks it after its export records.
        if self.is_target_changed {
            syncs::warn(tx, job.sync_id, FailureReason::TargetChanged, &target::advice(storage.id)).await?;
        }
        Ok(())
    }

    fn quarantined(&self) -> &[QuarantinedObject] {
        &self.quarantined
    }
}

/// A length as a count. The numbers of a page are small.
fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
