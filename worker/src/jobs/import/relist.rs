//! What an import does about a store that does not list as it was relied on.

use longshore_db::storages;
use longshore_model::{Capabilities, KeyOrder, Paging};
use longshore_storage::ListPage;
use tracing::info;

use super::scan::Scan;
use super::{Import, Place};
use crate::job_error::JobError;

impl Import<'_> {
    /// Whether the first page of a sync shows that more should be known of the store: there are more pages, and no probe has
    /// shown how they follow.
    pub(super) fn is_unexamined(&self, page: &ListPage) -> bool {
        let known = self.known.unwrap_or_default();
        let is_first = self.cursor.is_none() && self.job.range_after.is_none() && self.until.is_none();
        is_first && self.store.is_ordered() && page.next.is_some() && known.paging.is_none()
    }

    /// Finds out whether the server sends keys as they are, if a key of the page may be misread. Returns whether it was,
    /// so that the page must be listed again.
    pub(super) async fn examine_spelling(&mut self, page: &ListPage) -> Result<bool, JobError> {
        let Some(respelled) = page.respelled.as_ref().filter(|_| !self.is_spelling_examined) else { return Ok(false) };
        self.is_spelling_examined = true;
        let Some(raw_keys) = self.store.examine_spelling(respelled).await? else { return Ok(false) };
        self.place.raw_keys = Some(raw_keys);
        let known = self.known.unwrap_or_default();
        self.keep(Capabilities { raw_keys: Some(raw_keys), ..known }).await?;
        // Until now, it was read as the answer says.
        Ok(raw_keys == respelled.is_claimed)
    }

    /// Probes the store and keeps what it found. Returns whether the page must be listed again, in another way.
    pub(super) async fn examine(&mut self) -> Result<bool, JobError> {
        let known = self.known.unwrap_or_default();
        let found = self.store.examine_listing(self.filter.prefix()).await?;
        let found = Capabilities { raw_keys: found.raw_keys.or(known.raw_keys), ..found };
        self.keep(found).await?;
        let place = Place::of(None, false, Some(found));
        let is_other = (place.paging, place.raw_keys) != (self.place.paging, self.place.raw_keys);
        if is_other {
            self.scan = (!place.is_ordered()).then(Scan::default);
            self.place = place;
        }
        Ok(is_other)
    }

    /// The end of an attempt to which the store listed out of order: the whole storage is listed again, in the order of the
    /// server. A probe cannot see every key, so it may come to this in the middle of a sync.
    pub(super) async fn relist(&mut self) -> JobError {
        let relisted = async {
            let found = self.store.examine_listing(self.filter.prefix()).await?;
            let paging = found.paging.filter(|paging| *paging != Paging::Key).unwrap_or(Paging::Token);
            let order = Some(KeyOrder::Other);
            let raw_keys = found.raw_keys.or(self.place.raw_keys);
            self.keep(Capabilities { paging: Some(paging), order, raw_keys, ..found }).await?;
            info!(
                event = "listing_out_of_order",
                sync.id = self.job.sync_id,
                job.id = self.job.lease.job,
                paging = paging.as_str(),
                "the storage listed out of order; its listing begins again and follows the server"
            );
            Err::<(), _>(JobError::Relist)
        };
        relisted.await.err().unwrap_or(JobError::Relist)
    }

    async fn keep(&mut self, found: Capabilities) -> Result<(), JobError> {
        self.known = Some(found);
        let (db, storage) = (&self.context.db, self.storage.id);
        let keeping = async { storages::set_capabilities(&db.client().await?, storage, Some(found)).await };
        Ok(db.in_time(keeping).await?)
    }
}
