//! Finds the objects on a listed page that stand for folders.

use std::collections::{BTreeSet, HashSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use longshore_filter::{KeyFilter, is_placeholder};

use crate::{ListPage, ListRequest, ListedObject, Storage, StorageError};

/// Empty objects are rare if at most one in this many is empty. An empty object that ends a page costs a look, so this bounds
/// the looks to one in as many pages.
const RARE: usize = 10;

/// Concurrent looks below keys. In key order, few keys need one.
const LOOKS: usize = 8;

/// The keys of objects that stand for folders, on a page as the storage listed it.
///
/// These are empty objects that the listing marks as folders, that have the name of a placeholder, or below which other
/// keys lie. Keys that end in `/` are left out: a filter skips them by their name. `is_ordered`: the listing is in key
/// order; otherwise the keys below one may be on any page. Empty if the filter imports folders like other objects.
///
/// # Errors
/// Those of a listing: what lies below the last keys may be on the next page.
pub async fn folder_markers(
    storage: &dyn Storage,
    page: &ListPage,
    filter: &KeyFilter,
    is_ordered: bool,
) -> Result<HashSet<String>, StorageError> {
    let is_empty = |listed: &&ListedObject| {
        listed.meta.known_size() == Some(0) && listed.fault.is_none() && !listed.key().ends_with('/')
    };
    if !(filter.skips_markers() && page.objects.iter().any(|listed| is_empty(&listed))) {
        return Ok(HashSet::new());
    }
    let keys = page.objects.iter().map(ListedObject::key).chain(page.prefixes.iter().map(String::as_str));
    let keys: BTreeSet<&str> = keys.collect();
    // Where many objects are empty, they are files, and a look at the end of each page would be one request more a page.
    let are_rare = page.objects.iter().filter(is_empty).count() * RARE <= page.objects.len();
    let (mut folders, mut uncertain) = (HashSet::new(), Vec::new());
    for listed in page.objects.iter().filter(is_empty) {
        let key = listed.key();
        let below = format!("{key}/");
        let has_child = keys.range(&*below..).next().is_some_and(|next| next.starts_with(&below));
        // In key order, the last key of the page begins with each of these keys.
        let may_follow = if is_ordered {
            let is_last = keys.last().is_none_or(|last| *last < below.as_str());
            page.next.is_some() && is_last && (are_rare || !has_file_ending(key))
        } else {
            storage.has_pages() && !has_file_ending(key)
        };
        if listed.is_folder || is_placeholder(key) || has_child {
            folders.insert(key.to_owned());
        } else if may_follow {
            uncertain.push(key.to_owned());
        }
    }
    let looks = uncertain.into_iter().map(|key| async move {
        let is_folder = has_keys_below(storage, &format!("{key}/")).await?;
        Ok::<_, StorageError>(is_folder.then_some(key))
    });
    let looks: Vec<_> = looks.collect();
    let found: Vec<Option<String>> = stream::iter(looks).buffer_unordered(LOOKS).try_collect().await?;
    folders.extend(found.into_iter().flatten());
    Ok(folders)
}

/// Whether a name ends as those of files do: with a short ending that begins with a letter, unlike a date or a version.
fn has_file_ending(key: &str) -> bool {
    let ending = key.rsplit('/').next().unwrap_or(key).rsplit_once('.').map_or("", |(_, ending)| ending);
    ending.starts_with(|first: char| first.is_ascii_alphabetic())
        && ending.len() <= 5
        && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

async fn has_keys_below(storage: &dyn Storage, prefix: &str) -> Result<bool, StorageError> {
    let page = storage.list_page(ListRequest { prefix, limit: 1, ..ListRequest::default() }).await;
    match page {
        // Some stores list keys outside of the prefix, too.
        Ok(page) => Ok(page.objects.iter().any(|listed| listed.key().starts_with(prefix))),
        // There are keys, in an order of the store's own.
        Err(error) if error.is_out_of_order() => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::has_file_ending;

    #[test]
    fn dates_and_versions_are_no_endings_of_files() {
        assert!(["a.jpg", "b/c.JSON", "x.mp4", "a.b.7z.gz"].iter().all(|key| has_file_ending(key)));
        assert!(
            !["photos", "2024.05.01", "v1.2", "a.jpg/b", "site.folder", "a."].iter().any(|key| has_file_ending(key))
        );
    }
}
