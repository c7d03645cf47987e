//! The judgment of listed keys as a sync makes it: by their names, by what a listing shows, and by what exports wrote.

use std::sync::Arc;

use longshore_filter::{KeyFilter, Skip};
use longshore_model::StorageSettings;
use longshore_storage::{ListPage, ListedObject, Storage, StorageError, explain, filter_keys, folder_markers};

use crate::api::ApiState;
use crate::api::storages::own_exports::OwnExports;

/// What a sync of a storage judges its keys with.
pub(super) struct Judge<'a> {
    pub(super) state: &'a ApiState,
    pub(super) storage: &'a dyn Storage,
    pub(super) filter: &'a Arc<KeyFilter>,
    pub(super) settings: &'a StorageSettings,
    /// The storages of the project that export to the same bucket.
    pub(super) exports: &'a OwnExports<'a>,
}

impl Judge<'_> {
    /// The text for the user about a failure of the storage.
    pub(super) fn text(&self, error: &StorageError) -> String {
        explain(&self.settings.connection, error).text
    }

    /// The rule by which a sync skips each key of a page; `None` if it takes the key. `is_ordered`: the listing is in key
    /// order.
    ///
    /// # Errors
    /// The text for the user.
    pub(super) async fn judged(
        &self,
        page: ListPage,
        is_ordered: bool,
    ) -> Result<Vec<(ListedObject, Option<Skip>)>, String> {
        let folders = folder_markers(self.storage, &page, self.filter, is_ordered).await;
        let folders = folders.map_err(|error| self.text(&error))?;
        let exported = self.exports.among(&page.objects).await;
        let mut judged = filter_keys(self.filter, page.objects, ListedObject::key).await;
        for (listed, skip) in &mut judged {
            if folders.contains(listed.key()) {
                *skip = Some(Skip::Folder);
            } else if skip.is_none() && exported.contains(listed.key()) {
                *skip = Some(Skip::Export);
            }
        }
        Ok(judged)
    }
}
