//! From listed objects to items: in blob mode by their URIs, in JSON mode by reading them.

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use longshore_db::quarantine::QuarantinedObject;
use longshore_model::{FailureReason, QuarantineReason};
use longshore_storage::{ErrorKind, StorageError};
use tokio_util::sync::CancellationToken;

use super::{Import, ImportedObject, Pending, count};
use crate::items::{self, Budget, Item, Limits, Unusable};
use crate::job_error::JobError;
use crate::jobs::prefetch::Prefetch;
use crate::quarantine::{refused_object, unusable_object};

/// Uncompressed objects of at least this many bytes, and all compressed ones, are parsed on a blocking thread. A
/// smaller one takes about 50 microseconds, and up to `LONGSHORE_GETS` of them may be parsed before another tokio task
/// runs.
const PARSE_APART: usize = 16 * 1024;

/// If this many objects are denied and none is read, the storage as a whole denies reading.
const CLEARLY_DENIED: usize = 8;

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
}

impl FetchedPart {
    /// Whether there is nothing to record.
    pub(super) fn is_empty(&self) -> bool {
        self.imported.is_empty() && self.quarantined.is_empty() && self.vanished == 0 && self.failure.is_none()
    }
}

impl Import<'_> {
    /// Blob mode: makes one task per object, and reads none.
    pub(super) fn name(&self, part: Vec<Pending>) -> FetchedPart {
        let mut fetched = FetchedPart::default();
        for Pending { object, again, .. } in part {
            let mut data = serde_json::Map::with_capacity(1);
            data.insert(self.data_key.as_str().to_owned(), self.store.uri(&object.key).into());
            fetched.released.extend(again.then(|| object.key.clone()));
            let data = serde_json::Value::Object(data).to_string();
            fetched.imported.push(ImportedObject { object, items: vec![Item::of_data(data)] });
        }
        fetched
    }

    /// JSON mode: reads the objects concurrently and takes their items.
    ///
    /// # Errors
    /// The storage as a whole refuses. A single object that cannot be read or used is quarantined instead; a transient
    /// error of one object is returned in [`FetchedPart::failure`], together with the other objects.
    pub(super) async fn fetch(&self, part: Vec<Pending>) -> Result<FetchedPart, JobError> {
        let asked = part.len();
        let mut answers = stream::iter(part)
            .map(|pending| async move {
                let read = self.read(&pending).await;
                (pending, read)
            })
            .buffered(self.context.config.transfers);
        let mut fetched = FetchedPart::default();
        let (mut denied, mut unanswered) = (0, 0);
        while let Some((Pending { object, again, tries }, read)) = answers.next().await {
            match read {
                Ok((bytes, items)) => {
                    fetched.bytes += count(bytes);
                    fetched.released.extend(again.then(|| object.key.clone()));
                    fetched.imported.push(ImportedObject { object, items });
                    unanswered = 0;
                }
                Err(ReadError::Larger) => fetched.larger.push(Pending { object, again, tries: tries + 1 }),
                Err(ReadError::Unusable(unusable)) => fetched.quarantined.push(unusable_object(&object, unusable)),
                Err(ReadError::Storage(error)) => match error.kind {
                    ErrorKind::NotFound => fetched.vanished += 1,
                    ErrorKind::Denied if is_about_one_object(&error) => {
                        denied += 1;
                        fetched.quarantined.push(refused_object(&object, QuarantineReason::Denied, &error));
                    }
                    ErrorKind::Invalid if is_about_one_object(&error) => {
                        fetched.quarantined.push(refused_object(&object, QuarantineReason::Refused, &error));
                    }
                    ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::Cancelled => return Err(error.into()),
                    ErrorKind::Throttled { .. } | ErrorKind::Unavailable => {
                        fetched.failed += 1;
                        // The listing worked, so the storage is available. If no object can be read, single objects are
                        // not to blame.
                        if self.is_last_try() && (asked < CLEARLY_DENIED || !fetched.imported.is_empty()) {
                            fetched.quarantined.push(refused_object(&object, QuarantineReason::Unavailable, &error));
                        } else {
                            fetched.failure = Some(error.into());
                            unanswered += 1;
                        }
                    }
                },
            }
            // None of the concurrent requests was answered, so the rest would only wait as well.
            if unanswered >= self.context.config.transfers {
                break;
            }
            if denied >= CLEARLY_DENIED && fetched.imported.is_empty() && denied == fetched.quarantined.len() {
                let reason = FailureReason::AccessDenied;
                return Err(StorageError::new(longshore_storage::Op::Get, ErrorKind::Denied, reason).into());
            }
        }
        Ok(fetched)
    }

    /// Whether one more failure would discard the job.
    fn is_last_try(&self) -> bool {
        self.job.failures + 1 >= self.context.config.max_failures
    }

    async fn read(&self, pending: &Pending) -> Result<(usize, Vec<Item>), ReadError> {
        let object = &pending.object;
        items::check(&object.key, object.size, &self.limits, self.context.memory.max_bytes())
            .map_err(ReadError::Unusable)?;
        // Each concurrent read is limited to its reserved memory, so that neither a compression bomb nor an object that
        // is larger than listed takes more.
        let reserved = self.memory_of(pending);
        let bounded = reserved < self.context.memory.max_bytes();
        let max_bytes = reserved.min(self.limits.max_object_bytes as u64);
        let body = self.store.get(&object.key, None, max_bytes).await.map_err(|error| match error.reason {
            FailureReason::TooLarge if bounded && max_bytes == reserved => ReadError::Larger,
            _ => ReadError::Storage(error),
        })?;
        let size = body.bytes.len();
        // A proxy may cut a response and set its length to match; half of a JSON Lines object still looks complete.
        if body.etag == object.etag && size as u64 != object.size {
            let reason = FailureReason::BadAnswer;
            let cut = StorageError::new(longshore_storage::Op::Get, ErrorKind::Unavailable, reason);
            return Err(ReadError::Storage(cut));
        }
        match parse(&object.key, body.bytes, &self.limits, reserved).await {
            Ok(items) => Ok((size, items)),
            Err(unusable) if bounded && unusable.for_memory => Err(ReadError::Larger),
            Err(unusable) => Err(ReadError::Unusable(unusable)),
        }
    }
}

async fn parse(key: &str, bytes: Bytes, limits: &Limits, reserved: u64) -> Result<Vec<Item>, Unusable> {
    let reserved = usize::try_from(reserved).unwrap_or(usize::MAX);
    if bytes.len() < PARSE_APART && !items::is_packed(key, &bytes) {
        let mut budget = Budget::new(reserved, CancellationToken::new());
        return items::read(key, bytes, limits, &mut budget);
    }
    let (key, limits) = (key.to_owned(), limits.clone());
    let parsing = Prefetch::compute(move |abandoned| {
        let mut budget = Budget::new(reserved, abandoned.clone());
        items::read(&key, bytes, &limits, &mut budget)
    });
    parsing.result().await
}

/// Why no items of an object were read.
enum ReadError {
    /// It needs more memory than was reserved.
    Larger,
    Unusable(Unusable),
    Storage(StorageError),
}

/// Whether a refusal concerns only the object, and not the credentials, the bucket or the connection.
fn is_about_one_object(error: &StorageError) -> bool {
    use FailureReason as Reason;
    match error.kind {
        ErrorKind::Denied => error.reason == Reason::AccessDenied,
        _ => !matches!(error.reason, Reason::NoSuchBucket | Reason::WrongRegion | Reason::Tls | Reason::BlockedAddress),
    }
}

#[cfg(test)]
mod tests {
    use longshore_storage::Op;

    use super::*;

    #[test]
    fn an_error_of_the_whole_storage_is_not_blamed_on_an_object() {
        let about_one = |kind, reason| is_about_one_object(&StorageError::new(Op::Get, kind, reason));
        for reason in [FailureReason::AccessDenied, FailureReason::ExpiredCredentials] {
            assert_eq!(about_one(ErrorKind::Denied, reason), reason == FailureReason::AccessDenied, "{reason}");
        }
        for reason in [FailureReason::NoSuchBucket, FailureReason::Tls, FailureReason::BlockedAddress] {
            assert!(!about_one(ErrorKind::Invalid, reason), "{reason}");
        }
        for reason in [FailureReason::InvalidSettings, FailureReason::WrongValueType, FailureReason::TooLarge] {
            assert!(about_one(ErrorKind::Invalid, reason), "{reason}");
        }
    }
}
