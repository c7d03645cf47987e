//! Finds the objects on a listed page that stand for folders.

use std::collections::{BTreeSet, HashSet};

use longshore_filter::is_placeholder;

use crate::{ListPage, ListRequest, ListedObject, Storage, StorageError};

/// The keys of objects that stand for folders, on a page as the storage listed it.
///
/// These are empty objects that the listing marks as folders, that have the name of a placeholder, or below which other
/// keys lie. Keys that end in `/` are left out: a filter skips them by their name.
///
/// # Errors
/// Those of a listing: what lies below the last keys may be on the next page.
pub async fn folder_markers(storage: &dyn Storage, page: &ListPage) -> Result<HashSet<String>, StorageError> {
    let mut folders = HashSet::new();
    let is_empty =
        |listed: &&ListedObject| listed.meta.size == 0 && listed.fault.is_none() && !listed.key().ends_with('/');
    if !page.objects.iter().any(|listed| is_empty(&listed)) {
        return Ok(folders);
    }
    let keys = page.objects.iter().map(ListedObject::key).chain(page.prefixes.iter().map(String::as_str));
    let keys: BTreeSet<&str> = keys.collect();
    for listed in page.objects.iter().filter(is_empty) {
        let key = listed.key();
        let below = format!("{key}/");
        let has_child = keys.range(&*below..).next().is_some_and(|next| next.starts_with(&below));
        // Few keys are so uncertain: the last key of the page must begin with each of them.
        // A dot in the name is that of a file's ending: a look for each would cost a request for a page of empty files.
        let is_last = !key.rsplit('/').next().unwrap_or(key).contains('.')
            && page.next.is_some()
            && storage.is_ordered()
            && keys.last().is_none_or(|last| *last < below.as_str());
        let is_folder = listed.is_folder || is_placeholder(key) || has_child;
        if is_folder || (is_last && has_keys_below(storage, &below).await?) {
            folders.insert(key.to_owned());
        }
    }
    Ok(folders)
}

async fn has_keys_below(storage: &dyn Storage, prefix: &str) -> Result<bool, StorageError> {
    let page = storage.list_page(ListRequest { prefix, limit: 1, ..ListRequest::default() }).await?;
    Ok(!page.objects.is_empty())
}
