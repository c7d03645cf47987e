//! Reading one object: it is fetched again until the answer is the object that the listing shows, within limits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use longshore_db::host::TaskFormat;
use longshore_model::FailureReason;
use longshore_storage::{ErrorKind, ObjectBody, ObjectMeta, Op, Range, StorageError};
use longshore_telemetry::Backoff;
use md5::{Digest, Md5};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Import, ImportedObject, Pending};
use crate::jobs::prefetch::Prefetch;
use longshore_items::{self as items, Budget, Contents, Limits, Unusable};

/// Uncompressed objects of at least this many bytes, and all compressed ones, are parsed on a blocking thread. A
/// smaller one takes about 50 microseconds, and up to `LONGSHORE_GETS` of them may be parsed before another tokio task
/// runs.
const PARSE_APART: usize = 16 * 1024;

/// How often an object is read, besides the retries of each read, until an answer agrees with the listing. An object
/// that is written again and again may need several; a server that never agrees costs this many.
const MOST_READS: u32 = 3;

/// The wait before an object is read again, as between the retries of one read.
const PAUSE: Backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(1) };

/// Why no items of an object were read.
pub(super) enum ReadError {
    /// It needs more memory than was reserved.
    Larger,
    Unusable(Unusable),
    Storage(StorageError),
}

/// An object that was read.
pub(super) struct ReadObject {
    /// The version that was read: a later one than the listed one if the object was written meanwhile.
    pub(super) imported: ImportedObject,
    pub(super) bytes: usize,
}

impl Import<'_> {
    /// Reads an object and takes its items.
    pub(super) async fn read(&self, pending: &Pending) -> Result<ReadObject, ReadError> {
        let mut listed = pending.object.clone();
        let mut refuted = None;
        for number in 0..MOST_READS {
            if number > 0 {
                sleep(PAUSE.wait(number - 1)).await;
            }
            let reserved = self.memory_of(pending);
            if number == 0 {
                self.check_head(&listed).await?;
            }
            let body = self.get(&listed, reserved).await?;
            if !(body.is_listed(&listed) || self.has_other_etags(&body, &listed)) {
                let answer = (body.etag.clone(), body.stored_size);
                let Some(now) = self.store.look_up(&listed.key).await.map_err(ReadError::Storage)? else {
                    return Err(ReadError::Storage(missing()));
                };
                // A server whose listings state other etags than its answers gives the same answer twice, and the size
                // of its listing.
                let is_consistent = body.has_size_of(&now) && refuted.as_ref() == Some(&answer);
                listed = now;
                let is_confirmed = is_same(&body, &listed);
                if !(is_confirmed || is_consistent) {
                    refuted = Some(answer);
                    continue;
                }
                if !is_confirmed {
                    self.other_etags.store(true, Ordering::Relaxed);
                }
                listed.modified_at = body.modified_at.or(listed.modified_at);
            }
            let bytes = body.bytes.len();
            if listed.lacks_size {
                (listed.size, listed.lacks_size) = (body.stored_size, false);
            }
            listed.modified_at = listed.modified_at.or(body.modified_at);
            match self.parse(self.name_of(&listed), body, reserved).await {
                Ok(Some(Contents { items, summary, warnings })) => {
                    let summary = self.storage.task_format.has_summary().then(|| Arc::new(summary));
                    return Ok(ReadObject {
                        imported: ImportedObject { object: listed, items, summary, warnings },
                        bytes,
                    });
                }
                // The bytes do not have the digest that the storage states.
                Ok(None) => {}
                Err(unusable) if self.is_bounded(reserved) && unusable.for_memory => return Err(ReadError::Larger),
                Err(unusable) => return Err(ReadError::Unusable(unusable)),
            }
        }
        let reason = FailureReason::ContentMismatch;
        Err(ReadError::Storage(StorageError::new(Op::Get, ErrorKind::Unavailable, reason)))
    }

    /// What may say what the object is. Keys of Redis are no names of files, so the content decides.
    fn name_of<'k>(&self, object: &'k ObjectMeta) -> &'k str {
        if self.storage.settings.kind().data().has_folders() { &object.key } else { "" }
    }

    /// Reads the first bytes of an object whose name does not say what it is, and refuses it if they show that it holds no
    /// tasks. Of another version than the listed one, and after an error, they say nothing.
    async fn check_head(&self, listed: &ObjectMeta) -> Result<(), ReadError> {
        let name = self.name_of(listed);
        let most = self.limits.max_object_bytes as u64;
        let size = listed.known_size().unwrap_or(most);
        if !items::is_undecided(name, size) || size > most {
            return Ok(());
        }
        let range = Range { first: 0, last: Some(items::HEAD_BYTES - 1) };
        match self.store.get(&listed.key, Some(range), items::HEAD_BYTES).await {
            Ok(head) if listed.etag.is_none() || head.etag == listed.etag => {
                items::check_head(name, &head.bytes).map_err(ReadError::Unusable)
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether the etags differ only because the server's listings state other etags than its answers, as one object of
    /// this attempt has shown. To look each object up again would take several requests and a pause for each.
    fn has_other_etags(&self, body: &ObjectBody, listed: &ObjectMeta) -> bool {
        self.other_etags.load(Ordering::Relaxed) && body.etag.is_some() && body.has_size_of(listed)
    }

    /// Whether the object may need more memory than was reserved for it.
    fn is_bounded(&self, reserved: u64) -> bool {
        reserved < self.context.memory.max_bytes()
    }

    /// Each concurrent read is limited to its reserved memory, so that neither a compression bomb nor an object that
    /// is larger than listed takes more.
    async fn get(&self, listed: &ObjectMeta, reserved: u64) -> Result<ObjectBody, ReadError> {
        // The answer shows the size that the listing lacks; it is not empty before that.
        let size = listed.known_size().unwrap_or(1);
        items::check(self.name_of(listed), size, &self.limits, self.context.memory.max_bytes())
            .map_err(ReadError::Unusable)?;
        let max_bytes = reserved.min(self.limits.max_object_bytes as u64);
        self.store.get_listed(listed, max_bytes).await.map_err(|error| match error.reason {
            FailureReason::TooLarge if self.is_bounded(reserved) && max_bytes == reserved => ReadError::Larger,
            _ => ReadError::Storage(error),
        })
    }

    /// Takes the items of an object's bytes; `None` if the storage's settings ask for a check of their digest and it is
    /// another one.
    async fn parse(&self, key: &str, body: ObjectBody, reserved: u64) -> Result<Option<Contents>, Unusable> {
        let digest = body.md5.filter(|_| self.storage.settings.verify_content);
        let reserved = usize::try_from(reserved).unwrap_or(usize::MAX);
        let (bytes, storage) = (body.bytes, Arc::clone(&self.storage));
        if bytes.len() < PARSE_APART && !items::is_packed(key, &bytes) {
            let mut budget = Budget::new(reserved, CancellationToken::new());
            return verified(key, bytes, digest, &storage.task_format, &self.limits, &mut budget);
        }
        let (key, limits) = (key.to_owned(), self.limits.clone());
        let parsing = Prefetch::compute(move |abandoned| {
            let mut budget = Budget::new(reserved, abandoned.clone());
            verified(&key, bytes, digest, &storage.task_format, &limits, &mut budget)
        });
        parsing.result().await
    }
}

fn verified(
    key: &str,
    bytes: Bytes,
    digest: Option<[u8; 16]>,
    format: &TaskFormat,
    limits: &Limits,
    budget: &mut Budget,
) -> Result<Option<Contents>, Unusable> {
    if digest.is_some_and(|digest| Md5::digest(&bytes).as_slice() != digest) {
        return Ok(None);
    }
    items::read(key, bytes, format, limits, budget).map(Some)
}

/// Whether a body is the object that the storage lists now.
fn is_same(body: &ObjectBody, listed: &ObjectMeta) -> bool {
    body.is_listed(listed) && body.has_size_of(listed)
}

/// The error for an object that left the bucket after it was listed.
fn missing() -> StorageError {
    StorageError::new(Op::Get, ErrorKind::NotFound, FailureReason::NoSuchObject)
}
