//! Export: every new or changed annotation of a project becomes an object.
//!
//! The row in `exports` is written only after the storage confirmed the object, so a crash between
//! the two writes the same object again under the same key, and nothing is lost or doubled.

mod selection;
mod size;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use longshore_db::exports::{self, ExportRecord};
use longshore_db::host::JobStorage;
use longshore_db::lifecycle::Claimed;
use longshore_db::quarantine::{self, QuarantinedObject};
use longshore_db::{Counts, Transaction};
use longshore_model::{FailureReason, QuarantineReason};
use longshore_storage::{ErrorKind, Probe, PutOptions, Storage, StorageError};

use crate::context::Context;
use crate::job_error::JobError;
use crate::jobs::ahead::Ahead;
use crate::jobs::{Handler, Page, Writes as PageWrites};
use crate::places::Quantum;
use selection::{Prepared, Selected, Source};

/// What a page of export writes.
pub(crate) struct Writes {
    storage_id: i64,
    unit: &'static str,
    written: Vec<ExportRecord>,
    pub(crate) aside: Vec<QuarantinedObject>,
    /// Keys that left quarantine because they could be written now.
    released: Vec<String>,
}

/// The export of one id range.
pub(crate) struct Export<'a> {
    context: &'a Context,
    claimed: &'a Claimed,
    source: Arc<Source>,
    store: Arc<dyn Storage>,
    put: PutOptions,
    after: i64,
    /// The page after the one that is being written.
    ahead: Option<Ahead<Result<Selected, JobError>>>,
}

impl<'a> Export<'a> {
    /// Prepares the export of a claimed job's range.
    ///
    /// # Errors
    /// The database is away, or the sync's options cannot be read.
    pub(crate) async fn new(
        context: &'a Context,
        claimed: &'a Claimed,
        storage: JobStorage,
        store: Arc<dyn Storage>,
    ) -> Result<Self, JobError> {
        let id = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<i64>().ok());
        let after = id(&claimed.cursor).or_else(|| id(&claimed.range_after)).unwrap_or_default();
        let until = id(&claimed.range_until);
        let kms_key_id = storage.settings.connection.kms_key_id().map(str::to_owned);
        let put = PutOptions { content_type: Some("application/json"), kms_key_id };
        let source = Arc::new(Source::new(context, claimed, storage, until).await?);
        Ok(Self { context, claimed, source, store, put, after, ahead: None })
    }

    fn begin_selection(&self, after: i64) -> Ahead<Result<Selected, JobError>> {
        let source = Arc::clone(&self.source);
        Ahead::begin(async move { source.select(after).await })
    }

    /// Writes an object unless the same one is there already.
    async fn put(&self, prepared: Prepared) -> Put {
        let Prepared { unit_id, key, updated_at, digest, body } = prepared;
        let (bytes, unchanged) = (body.as_ref().map_or(0, Bytes::len), body.is_none());
        let outcome = match body {
            Some(body) => self.store.put(&key, body, &self.put).await,
            None => Ok(None),
        };
        let row = match outcome {
            Ok(etag) => Ok(ExportRecord { unit_id, key, etag, digest: digest.to_vec(), unit_updated_at: updated_at }),
            Err(error) => Err((unit_id, key, error)),
        };
        Put { row, unchanged, bytes }
    }

    /// Whether objects that fail now are to be set aside: it is the job's last try, and the storage
    /// as a whole takes objects.
    async fn gives_up_on_objects(&self) -> bool {
        self.claimed.failures + 1 >= self.context.config.max_failures && self.store.probe(Probe::Write).await.is_ok()
    }
}

/// What became of one object.
struct Put {
    row: Result<ExportRecord, (i64, String, StorageError)>,
    unchanged: bool,
    bytes: usize,
}

#[async_trait]
impl Handler for Export<'_> {
    async fn perform(&mut self, quantum: &Quantum) -> Result<Page, JobError> {
        let selection = self.ahead.take().unwrap_or_else(|| self.begin_selection(self.after));
        let selected = selection.result().await?;
        // Under suspicion one page after the other: if this worker dies, it was of a known page.
        if selected.more && !quantum.is_over() && self.claimed.suspects.is_none() {
            self.ahead = Some(self.begin_selection(selected.until));
        }
        let units = selected.prepared.len() + usize::from(selected.aside.is_some());
        let mut counts = Counts { pages: 1, matched: count(units), ..Counts::default() };
        let (mut written, mut failed) = (Vec::with_capacity(units), Vec::new());
        let mut puts = stream::iter(selected.prepared)
            .map(|prepared| self.put(prepared))
            .buffer_unordered(self.context.config.transfers);
        while let Some(put) = puts.next().await {
            match put.row {
                Ok(row) => {
                    if put.unchanged {
                        counts.unchanged += 1;
                    } else {
                        counts.exported += 1;
                        counts.bytes += count(put.bytes);
                    }
                    written.push(row);
                }
                Err(failure) => failed.push(failure),
            }
        }
        drop(puts);

        counts.failed = count(failed.len());
        let gives_up = failed.iter().any(|(_, _, error)| error.is_transient()) && self.gives_up_on_objects().await;
        let (mut aside, mut failure) = (Vec::from_iter(selected.aside), None);
        for (unit_id, key, error) in failed {
            let reason = match error.kind {
                ErrorKind::Throttled { .. } | ErrorKind::Unavailable if gives_up => QuarantineReason::Unavailable,
                ErrorKind::Invalid if error.reason == FailureReason::TooLarge => QuarantineReason::TooLarge,
                ErrorKind::Throttled { .. } | ErrorKind::Unavailable => {
                    failure = Some(JobError::from(error));
                    continue;
                }
                // Wrong credentials, a bucket that is gone, a stop: not this object's fault.
                ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Cancelled => {
                    failure = Some(JobError::from(error));
                    break;
                }
            };
            aside.push(set_aside(unit_id, key, reason, &error));
        }
        if failure.is_some() {
            // The page comes again, and with it what is to be set aside: once, when the cursor moves.
            aside.clear();
            counts.matched = counts.exported + counts.unchanged;
        }
        counts.quarantined = count(aside.len());

        if failure.is_none() {
            self.after = selected.until;
        }
        Ok(Page {
            counts,
            passed: i32::try_from(selected.walked).unwrap_or(i32::MAX),
            cursor: failure.is_none().then(|| self.after.to_string()),
            last: failure.is_none() && !selected.more,
            failure,
            writes: PageWrites::Export(Writes {
                storage_id: self.source.storage.id,
                unit: self.source.unit(),
                released: written.iter().map(|row: &ExportRecord| row.key.clone()).collect(),
                written,
                aside,
            }),
            split: Vec::new(),
            reserved: None,
        })
    }
}

impl Writes {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.written.is_empty() && self.aside.is_empty()
    }

    /// Writes everything in the caller's transaction.
    pub(crate) async fn record(&self, claimed: &Claimed, tx: &Transaction<'_>) -> Result<(), JobError> {
        exports::record(tx, self.storage_id, claimed.sync_id, self.unit, &self.written).await?;
        quarantine::insert(tx, self.storage_id, claimed.sync_id, &self.aside).await?;
        let released: Vec<&str> = self.released.iter().map(String::as_str).collect();
        quarantine::remove(tx, self.storage_id, &released).await?;
        Ok(())
    }
}

fn set_aside(unit_id: i64, key: String, reason: QuarantineReason, error: &StorageError) -> QuarantinedObject {
    QuarantinedObject::unit(unit_id, key, reason, format!("{} ({error})", error.advice()))
}

/// A count of a page's things, which are few.
fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
