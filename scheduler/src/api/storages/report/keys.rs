//! The keys of a storage as a sync would judge them.

use std::collections::BTreeMap;

use longshore_filter::Skip;
use longshore_items::preview;
use longshore_model::{QuarantineReason, StorageSettings};
use longshore_storage::{ListPage, ListedObject, ObjectMeta, Pages};
use serde::Serialize;
use utoipa::ToSchema;

use super::ImportReport;
use super::ending::Ending;
use super::judge::Judge;

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
    pub(super) rule: &'static str,
    /// The rule or reason as a text for users.
    pub(super) detail: String,
    /// How many keys. For sub-folders that were not looked into, how many of them.
    keys: u64,
    /// The first three.
    pub(super) examples: Vec<String>,
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
    /// How many matching keys have the ending of an image or of other media, how many that of JSON, and how many that of a
    /// table, such as CSV.
    pub(super) media: u64,
    pub(super) json: u64,
    pub(super) tables: u64,
}

impl Keys {
    /// Looks at the first pages until a key matches.
    ///
    /// # Errors
    /// The text for the user.
    pub(super) async fn look(judge: &Judge<'_>) -> Result<Self, String> {
        let filter = judge.filter;
        let (mut keys, mut pages) = (Self::default(), Pages::new(filter.prefix(), filter.delimiter()));
        for _ in 0..MOST_PAGES {
            let page = pages.next(judge.storage).await.map_err(|error| judge.text(&error))?;
            let Some(page) = page else { break };
            let is_ordered = !pages.may_repeat(judge.storage);
            keys.add(page, judge, is_ordered).await?;
            if keys.is_complete || keys.matched > 0 {
                break;
            }
        }
        Ok(keys)
    }

    /// Counts a page of a listing, which is in key order or not.
    ///
    /// # Errors
    /// The text for the user.
    pub(super) async fn add(&mut self, page: ListPage, judge: &Judge<'_>, is_ordered: bool) -> Result<(), String> {
        let is_last = page.next.is_none();
        for folder in &page.prefixes {
            count(&mut self.skipped, Skip::TooDeep.rule(), Skip::TooDeep.as_str(), folder);
        }
        for (listed, skip) in judge.judged(page, is_ordered).await? {
            self.looked_at += 1;
            if self.samples.len() < SAMPLES {
                self.samples.push(listed.meta.key.clone());
            }
            match skip {
                // A sync puts them into quarantine.
                Some(Skip::RegexTooSlow) => {
                    self.matched += 1;
                    let reason = QuarantineReason::FilterTooSlow.as_str();
                    count(&mut self.refused, reason, Skip::RegexTooSlow.as_str(), &listed.meta.key);
                }
                Some(skip) => count(&mut self.skipped, skip.rule(), skip.as_str(), &listed.meta.key),
                None => self.add_match(listed, judge.settings),
            }
        }
        self.is_complete = is_last;
        Ok(())
    }

    fn add_match(&mut self, listed: ListedObject, settings: &StorageSettings) {
        let object = listed.meta;
        self.matched += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(shown(&object.key));
        }
        match Ending::of(&object.key) {
            Some(Ending::Media) => self.media += 1,
            Some(Ending::Json) => self.json += 1,
            Some(Ending::Table) => self.tables += 1,
            None => {}
        }
        if let Some(fault) = listed.fault {
            return count(&mut self.refused, fault.reason().as_str(), fault.detail(), &object.key);
        }
        if !settings.use_blob_urls
            && let Some(unusable) = preview::refused_unread(&object.key, object.size)
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

    /// How many matching keys a sync would put into quarantine unread, and for which reason most of them.
    pub(super) fn refused(&self) -> (u64, Option<&SkippedKeys>) {
        let most = self.refused.values().max_by_key(|group| group.keys);
        (self.refused.values().map(|group| group.keys).sum(), most)
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
