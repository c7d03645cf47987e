//! The keys of a storage as a sync would judge them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use longshore_filter::{KeyFilter, Skip};
use longshore_items::preview;
use longshore_model::StorageSettings;
use longshore_storage::{
    ListPage, ListedObject, ObjectMeta, Pages, Storage, StorageError, filter_keys, folder_markers,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::ImportReport;
use crate::api::storages::own_exports::OwnExports;

/// Keys per request, the most that storages return.
pub(super) const PAGE: u16 = 1_000;

/// Pages until a key matches.
const MOST_PAGES: usize = 3;

/// Examples of each rule.
const EXAMPLES: usize = 3;

/// Keys against which other spellings of the filter are tried. Each spelling and key takes up to a millisecond.
const SAMPLES: usize = 100;

/// The longest key in a report, in bytes.
const LONGEST_EXAMPLE: usize = 1_024;

/// Keys that a sync would not import, for one reason.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::api) struct SkippedKeys {
    /// The stable code of the rule or reason.
    #[schema(example = "regex")]
    rule: &'static str,
    /// The rule or reason as a text for users.
    detail: String,
    /// How many keys. For sub-folders that were not looked into, how many of them.
    keys: u64,
    /// The first three.
    examples: Vec<String>,
}

/// Keys of a storage, counted as a sync would judge them.
#[derive(Debug, Default)]
pub(super) struct Keys {
    looked_at: u64,
    is_complete: bool,
    matched: u64,
    examples: Vec<String>,
    skipped: BTreeMap<&'static str, SkippedKeys>,
    refused: BTreeMap<&'static str, SkippedKeys>,
    /// The first object that a sync would read or name.
    first: Option<ObjectMeta>,
    /// The first keys below the prefix, whatever the filter says.
    samples: Vec<String>,
    /// How many matching keys have the ending of an image or of other media, and how many that of JSON.
    pub(super) media: u64,
    pub(super) json: u64,
}

impl Keys {
    /// Looks at the first pages until a key matches.
    pub(super) async fn look(
        storage: &dyn Storage,
        filter: &Arc<KeyFilter>,
        own: &OwnExports<'_>,
        settings: &StorageSettings,
    ) -> Result<Self, StorageError> {
        let (mut keys, mut pages) = (Self::default(), Pages::new(filter.prefix(), filter.delimiter()));
        for _ in 0..MOST_PAGES {
            let Some(page) = pages.next(storage).await? else { break };
            let folders = folder_markers(storage, &page, filter, !pages.may_repeat(storage)).await?;
            keys.add(page, &folders, filter, own, settings).await;
            if keys.is_complete || keys.matched > 0 {
                break;
            }
        }
        Ok(keys)
    }

    /// Counts a page, on which some keys stand for `folders`. Returns the cursor of the next one.
    pub(super) async fn add(
        &mut self,
        page: ListPage,
        folders: &HashSet<String>,
        filter: &Arc<KeyFilter>,
        own: &OwnExports<'_>,
        settings: &StorageSettings,
    ) -> Option<String> {
        let exported = own.among(&page.objects).await;
        for folder in page.prefixes {
            count(&mut self.skipped, Skip::TooDeep.rule(), Skip::TooDeep.as_str(), &folder);
        }
        for (listed, skip) in filter_keys(filter, page.objects, ListedObject::key).await {
            self.looked_at += 1;
            if self.samples.len() < SAMPLES {
                self.samples.push(listed.meta.key.clone());
            }
            let skip = if folders.contains(listed.key()) { Some(Skip::Folder) } else { skip };
            match skip.or_else(|| exported.contains(&listed.meta.key).then_some(Skip::Export)) {
                Some(skip) => count(&mut self.skipped, skip.rule(), skip.as_str(), &listed.meta.key),
                None => self.add_match(listed, settings),
            }
        }
        self.is_complete = page.next.is_none();
        page.next
    }

    fn add_match(&mut self, listed: ListedObject, settings: &StorageSettings) {
        let object = listed.meta;
        self.matched += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(shown(&object.key));
        }
        match ending(&object.key) {
            Some(Ending::Media) => self.media += 1,
            Some(Ending::Json) => self.json += 1,
            None => {}
        }
        if let Some(fault) = listed.fault {
            return count(&mut self.refused, fault.reason().as_str(), fault.detail(), &object.key);
        }
        if !settings.use_blob_urls
            && let Some(unusable) = preview::refused_unread(&object.key, object.known_size().unwrap_or(1))
        {
            return count(&mut self.refused, unusable.reason.as_str(), &unusable.detail, &object.key);
        }
        self.first.get_or_insert(object);
    }

    /// Whether nothing lies below the prefix.
    pub(super) fn is_nothing(&self) -> bool {
        self.looked_at == 0 && self.skipped.is_empty()
    }

    pub(super) fn matched(&self) -> u64 {
        self.matched
    }

    pub(super) fn looked_at(&self) -> u64 {
        self.looked_at
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    pub(super) fn first(&self) -> Option<&ObjectMeta> {
        self.first.as_ref()
    }

    pub(super) fn samples(&self) -> &[String] {
        &self.samples
    }

    /// How many keys a rule skipped.
    pub(super) fn skipped_by(&self, skip: Skip) -> u64 {
        self.skipped.get(skip.rule()).map_or(0, |skipped| skipped.keys)
    }

    /// Writes the counts into a report.
    pub(super) fn report(&self, report: &mut ImportReport) {
        report.looked_at = self.looked_at;
        report.complete = self.is_complete;
        report.matched = self.matched;
        report.examples.clone_from(&self.examples);
        report.skipped = self.skipped.values().cloned().collect();
        report.refused = self.refused.values().cloned().collect();
    }
}

fn count(groups: &mut BTreeMap<&'static str, SkippedKeys>, rule: &'static str, detail: &str, key: &str) {
    let new = || SkippedKeys { rule, detail: detail.to_owned(), keys: 0, examples: Vec::new() };
    let group = groups.entry(rule).or_insert_with(new);
    group.keys += 1;
    if group.examples.len() < EXAMPLES {
        group.examples.push(shown(key));
    }
}

/// A key as far as a report shows it.
fn shown(key: &str) -> String {
    key[..key.floor_char_boundary(LONGEST_EXAMPLE)].to_owned()
}

#[derive(Debug, PartialEq, Eq)]
enum Ending {
    Media,
    Json,
}

/// What the ending of a key says about its content; `None` if it says nothing.
fn ending(key: &str) -> Option<Ending> {
    const JSON: [&str; 4] = [".json", ".jsonl", ".ndjson", ".json.gz"];
    let name = key.rsplit('/').next().unwrap_or(key).to_ascii_lowercase();
    if JSON.iter().any(|ending| name.ends_with(ending)) {
        return Some(Ending::Json);
    }
    let guess = mime_guess::from_path(&name).first()?;
    let is_media =
        matches!(guess.type_().as_str(), "image" | "audio" | "video") || guess.essence_str() == "application/pdf";
    is_media.then_some(Ending::Media)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_key_tells_media_from_json() {
        for key in ["a.jpg", "x/B.JPEG", "a.PNG", "a.mp4", "a.wav", "a.pdf", "a.webp"] {
            assert_eq!(ending(key), Some(Ending::Media), "{key}");
        }
        for key in ["a.json", "a/b.JSONL", "a.ndjson", "a.json.gz"] {
            assert_eq!(ending(key), Some(Ending::Json), "{key}");
        }
        for key in ["a", "a.jpg/b", "task:1", "a.csv", ""] {
            assert_eq!(ending(key), None, "{key}");
        }
    }
}
