//! The last job of a sync in which the storage refused objects: it tries each of them once more.
//!
//! The objects are already counted as quarantined, so the counts of this job take back those that leave the quarantine.
//! An object that is refused again keeps its row and waits for the next sync. The job ends early if a whole page of
//! objects is refused again, or if the storage answers none of the concurrent requests: then nothing has changed yet, and
//! more requests would only burden the storage.
//!
//! Each part of a page moves the cursor. The rows of objects that are refused again do not show that they were tried, so
//! an attempt that started at the same cursor would try them again and again.

use std::collections::VecDeque;

use longshore_db::Counts;
use longshore_db::quarantine;
use longshore_storage::ObjectMeta;

use super::fetch::FetchedPart;
use super::{Import, Pending, count};
use crate::job_error::JobError;

/// Objects per page: the same number as keys in a listed page.
const PAGE_OBJECTS: i64 = 1_000;

/// The page of such a job.
#[derive(Default)]
pub(super) struct ReplayPage {
    /// The keys of the page, in ascending order.
    keys: Vec<String>,
    /// The number of its objects that left the quarantine.
    pub(super) settled: i64,
}

impl ReplayPage {
    /// The key before the first object that is still pending. All objects up to it were tried.
    pub(super) fn cursor(&self, pending: &VecDeque<Pending>) -> Option<String> {
        let first = &pending.front()?.object.key;
        let tried = self.keys.partition_point(|key| key < first);
        self.keys.get(tried.checked_sub(1)?).cloned()
    }
}

impl Import<'_> {
    /// Takes the next refused objects as the page to read.
    pub(super) async fn take_refused(&mut self) -> Result<(), JobError> {
        let (db, storage, sync) = (&self.context.db, self.storage.id, self.job.sync_id);
        let after = self.cursor.as_deref().unwrap_or_default();
        let read = async { quarantine::refused(&db.client().await?, storage, sync, after, PAGE_OBJECTS).await };
        let refused = db.in_time(read).await?;
        self.last = count(refused.len()) < PAGE_OBJECTS;
        self.next = refused.last().map(|object| object.key.clone()).or_else(|| self.cursor.clone());
        self.listed = Counts { pages: 1, ..Counts::default() };
        self.replay = ReplayPage { keys: refused.iter().map(|object| object.key.clone()).collect(), settled: 0 };
        self.pending.extend(refused.into_iter().map(|object| {
            let size = object.size.and_then(|size| u64::try_from(size).ok());
            let (size, lacks_size) = (size.unwrap_or_default(), size.is_none());
            let object = ObjectMeta { key: object.key, size, lacks_size, etag: object.etag, modified_at: None };
            Pending { object, again: true, tries: 0 }
        }));
        Ok(())
    }

    /// The counts of a part of such a page: only what changes for objects that the sync has counted already.
    pub(super) fn recount(&mut self, fetched: &FetchedPart) -> Counts {
        let (imported, created) = (fetched.imported.len(), fetched.imported.iter().map(|object| object.items.len()));
        let settled = count(imported) + fetched.vanished;
        self.replay.settled += settled;
        Counts {
            imported: count(imported),
            created: count(created.sum()),
            vanished: fetched.vanished,
            quarantined: -settled,
            failed: fetched.failed,
            bytes: fetched.bytes,
            ..Counts::default()
        }
    }
}
