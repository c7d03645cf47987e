//! The last job of a sync in which the storage refused objects: it tries each of them once more.
//!
//! The objects are already counted as quarantined, so the counts of this job take back those that leave the quarantine.
//! An object that is refused again keeps its row and waits for the next sync. The job ends early if a whole page of
//! objects is refused again: then nothing has changed yet, and more requests would only burden the storage.

use longshore_db::Counts;
use longshore_db::quarantine;
use longshore_storage::ObjectMeta;

use super::fetch::FetchedPart;
use super::{Import, Pending, count};
use crate::job_error::JobError;

/// Objects per page: the same number as keys in a listed page.
const PAGE_OBJECTS: i64 = 1_000;

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
        self.settled = 0;
        self.pending.extend(refused.into_iter().map(|object| {
            let size = object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
            let object = ObjectMeta { key: object.key, size, etag: object.etag, modified_at: None };
            Pending { object, again: true, tries: 0 }
        }));
        Ok(())
    }

    /// The counts of a part of such a page: only what changes for objects that the sync has counted already.
    pub(super) fn recount(&mut self, fetched: &FetchedPart) -> Counts {
        let (imported, created) = (fetched.imported.len(), fetched.imported.iter().map(|object| object.items.len()));
        let settled = count(imported) + fetched.vanished;
        self.settled += settled;
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
