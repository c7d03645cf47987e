//! From listed objects to items: in blob mode by their URIs, in JSON mode by reading them.

use std::sync::Arc;

use futures::stream::{self, StreamExt};
use longshore_db::quarantine::QuarantinedObject;
use longshore_storage::{ErrorKind, ObjectMeta, StorageError};

use super::read::{ReadError, ReadObject};
use super::refusal::{Refusal, reason_of};
use super::{Import, ImportedObject, Pending, count, summary};
use crate::job_error::JobError;
use crate::quarantine::{refused_object, unusable_object};
use longshore_items::{Item, Warnings};

/// If this many objects are refused or not answered, and none is read, single objects are not to blame. Objects that
/// were refused in an earlier sync do not count.
const CLEARLY_REFUSED: usize = 8;

/// The result of a part of a page.
#[derive(Default)]
pub(super) struct FetchedPart {
    pub(super) imported: Vec<ImportedObject>,
    pub(super) quarantined: Vec<QuarantinedObject>,
    pub(super) released: Vec<String>,
    /// Objects that are not read yet, because they need more memory than was reserved.
    pub(super) larger: Vec<Pending>,
    pub(super) vanished: i64,
    pub(super) failed: i64,
    pub(super) bytes: i64,
    pub(super) failure: Option<JobError>,
    /// Whether the rest of the part was not read, because the storage answered none of the concurrent requests.
    pub(super) is_cut: bool,
}

impl FetchedPart {
    /// Whether there is nothing to record.
    pub(super) fn is_empty(&self) -> bool {
        self.imported.is_empty() && self.quarantined.is_empty() && self.vanished == 0 && self.failure.is_none()
    }

    fn import(&mut self, read: ReadObject, again: bool) {
        self.bytes += count(read.bytes);
        self.released.extend(again.then(|| read.imported.object.key.clone()));
        self.imported.push(read.imported);
    }
}

impl Import<'_> {
    /// Blob mode: makes one task per object, and reads none.
    pub(super) fn name(&self, part: Vec<Pending>) -> FetchedPart {
        let mut fetched = FetchedPart::default();
        let column = summary::of_column(self.data_key.as_str());
        let summary = self.storage.task_format.has_summary().then(|| Arc::new(column));
        for Pending { object, again, .. } in part {
            let mut data = serde_json::Map::with_capacity(1);
            data.insert(self.data_key.as_str().to_owned(), self.store.uri(&object.key).into());
            fetched.released.extend(again.then(|| object.key.clone()));
            let data = serde_json::Value::Object(data).to_string();
            fetched.imported.push(ImportedObject {
                object,
                items: vec![Item::of_data(data)],
                summary: summary.clone(),
                warnings: Warnings::default(),
            });
        }
        fetched
    }

    /// JSON mode: reads the objects concurrently and takes their items.
    ///
    /// # Errors
    /// The storage as a whole refuses. A single object that cannot be read or used is quarantined instead; a transient
    /// error of one object is returned in [`FetchedPart::failure`], together with the other objects.
    pub(super) async fn fetch(&self, part: Vec<Pending>) -> Result<FetchedPart, JobError> {
        let fresh = part.iter().filter(|pending| !pending.again).count();
        let transfers = self.context.config.transfers;
        let mut answers = stream::iter(part)
            .map(|pending| async move {
                let read = self.read(&pending).await;
                (pending, read)
            })
            .buffered(transfers);
        let mut fetched = FetchedPart::default();
        let (mut denied, mut unanswered, mut in_a_row) = (Vec::new(), Vec::new(), 0);
        let (mut is_any_read, mut is_denial_checked) = (false, false);
        while let Some((pending, read)) = answers.next().await {
            is_any_read |= !matches!(read, Err(ReadError::Storage(_)));
            match read {
                Ok(read) => {
                    fetched.import(read, pending.again);
                    in_a_row = 0;
                }
                Err(ReadError::Larger) => fetched.larger.push(Pending { tries: pending.tries + 1, ..pending }),
                Err(ReadError::Unusable(unusable)) => {
                    fetched.quarantined.push(unusable_object(&pending.object, unusable));
                }
                Err(ReadError::Storage(error)) => match Refusal::of(&error) {
                    Refusal::Vanished => {
                        fetched.vanished += 1;
                        fetched.released.extend(pending.again.then_some(pending.object.key));
                    }
                    Refusal::Denied => denied.push((pending, error)),
                    Refusal::Refused => {
                        fetched.quarantined.push(refused_object(&pending.object, reason_of(&error), &error));
                    }
                    Refusal::Unanswered => {
                        fetched.failed += 1;
                        in_a_row += usize::from(!(pending.again && Refusal::is_mismatch(&error)));
                        unanswered.push((pending.object, error));
                    }
                    Refusal::OfStorage if self.job.is_replay => denied.push((pending, error)),
                    Refusal::OfStorage => return Err(error.into()),
                },
            }
            // None of the concurrent requests was answered, so the rest would only wait as well.
            if in_a_row >= transfers {
                fetched.is_cut = true;
                break;
            }
            if !(is_any_read || is_denial_checked || self.job.is_replay) && is_clear(&denied) {
                is_denial_checked = true;
                self.check_denial(&mut denied, &mut fetched).await?;
            }
        }
        drop(answers);
        let is_storage = fetched.is_cut || (fresh >= CLEARLY_REFUSED && !is_any_read);
        let refused = denied.iter().map(|(pending, error)| refused_object(&pending.object, reason_of(error), error));
        fetched.quarantined.extend(refused);
        self.settle(unanswered, is_storage, &mut fetched);
        Ok(fetched)
    }

    /// Decides what happens to objects without a usable answer: a failure of the page, or quarantine.
    ///
    /// `is_storage` says that the storage as a whole seems not to answer. The listing worked, so the storage is
    /// available; if no object can be read, single objects are not to blame.
    fn settle(&self, unanswered: Vec<(ObjectMeta, StorageError)>, is_storage: bool, fetched: &mut FetchedPart) {
        for (object, error) in unanswered {
            // Another answer than the object comes at once and is tried again at the end of the sync. A server that
            // does not answer may do so after a pause, so the job is repeated first.
            let is_lost = self.is_last_try() || Refusal::is_mismatch(&error);
            if self.job.is_replay || (is_lost && !is_storage) {
                fetched.quarantined.push(refused_object(&object, reason_of(&error), &error));
            } else {
                fetched.failure = Some(error.into());
            }
        }
    }

    /// Reads the first of the denied objects again, to distinguish a storage that denies reading from refusals of
    /// single objects that have passed.
    ///
    /// # Errors
    /// It is denied again.
    async fn check_denial(
        &self,
        denied: &mut Vec<(Pending, StorageError)>,
        fetched: &mut FetchedPart,
    ) -> Result<(), JobError> {
        let first = denied.iter().position(|(pending, _)| !pending.again).unwrap_or_default();
        let (pending, error) = denied.swap_remove(first);
        match self.read(&pending).await {
            Ok(read) => fetched.import(read, pending.again),
            Err(ReadError::Storage(again)) if again.kind == ErrorKind::Denied => return Err(again.into()),
            // It is neither imported nor denied; the rest of the part shows more.
            Err(_) => denied.push((pending, error)),
        }
        Ok(())
    }

    /// Whether one more failure would discard the job.
    fn is_last_try(&self) -> bool {
        self.job.failures + 1 >= self.context.config.max_failures
    }
}

/// Whether so many objects are denied that the storage as a whole may deny reading.
fn is_clear(denied: &[(Pending, StorageError)]) -> bool {
    denied.iter().filter(|(pending, _)| !pending.again).count() >= CLEARLY_REFUSED
}
