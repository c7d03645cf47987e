//! Listing of pages. While the keys of one page are looked up, the next page is already requested.

use std::collections::HashSet;
use std::sync::Arc;

use longshore_db::Counts;
use longshore_db::objects::{self, KeyStatus, LookupMode};
use longshore_db::quarantine::QuarantinedObject;
use longshore_filter::Skip;
use longshore_storage::{ListPage, ListRequest, StorageError, filter_keys};

use super::candidate::Candidate;
use super::{Import, Pending, count};
use crate::job_error::JobError;
use crate::jobs::prefetch::Prefetch;
use crate::slots::Quantum;

/// Keys per page: the largest page that S3, GCS and Azure all support.
const PAGE_KEYS: u16 = 1_000;

/// A requested page.
pub(super) type Listing = Prefetch<Result<ListPage, StorageError>>;

impl Import<'_> {
    /// Lists the next page and decides what to do with each of its keys.
    pub(super) async fn list(&mut self, quantum: &Quantum) -> Result<Vec<QuarantinedObject>, JobError> {
        let listing = self.prefetched.take().unwrap_or_else(|| self.start_listing(self.cursor.clone()));
        let page = listing.result().await?;
        let mut objects = page.objects;
        self.next = page.next;
        if let Some(until) = &self.until {
            let inside = objects.partition_point(|listed| listed.key() <= until.as_str());
            if inside < objects.len() {
                objects.truncate(inside);
                self.next = None;
            }
        }
        self.last = self.next.is_none();
        self.pages += 1;
        if !self.last && !quantum.is_over() {
            self.prefetched = Some(self.start_listing(self.next.clone()));
        }

        let mut found: Vec<Candidate> = objects.into_iter().map(Candidate::of).collect();
        if !self.store.is_ordered() {
            drop_repeats(&mut found, &self.underway);
        }
        self.listed = Counts { pages: 1, listed: count(found.len()), ..Counts::default() };
        // If the attempt is dropped by a drain, a cancellation or a lost lease, this is dropped too and matching stops.
        let judged = filter_keys(&self.filter, found, |found: &Candidate| &found.object.key).await;
        let found: Vec<Candidate> = judged
            .into_iter()
            .filter_map(|(found, skip)| match skip {
                None => Some(found),
                Some(Skip::RegexTooSlow) => Some(found.undecided()),
                Some(Skip::Folder | Skip::Regex | Skip::RegexOfName | Skip::TooDeep | Skip::Prefix) => None,
            })
            .collect();
        let statuses = self.look_up(&found).await?;
        let mut quarantined = Vec::new();
        for (found, status) in found.into_iter().zip(statuses) {
            let again = match status {
                KeyStatus::New => false,
                KeyStatus::Retry => true,
                KeyStatus::Existed => {
                    self.listed.existed += 1;
                    continue;
                }
                KeyStatus::StillQuarantined => {
                    self.listed.still_quarantined += 1;
                    continue;
                }
                KeyStatus::Counted => continue,
            };
            match found.fault {
                Some(fault) => quarantined.push(fault),
                None => self.pending.push_back(Pending { object: found.object, again, tries: 0 }),
            }
        }
        self.listed.matched = self.listed.existed + self.listed.still_quarantined;
        Ok(quarantined)
    }

    fn start_listing(&self, cursor: Option<String>) -> Listing {
        let store = Arc::clone(&self.store);
        let (prefix, delimiter) = (self.filter.prefix().to_owned(), self.filter.delimiter().map(str::to_owned));
        let after = self.job.range_after.clone();
        Prefetch::start(async move {
            let request = ListRequest {
                prefix: &prefix,
                delimiter: delimiter.as_deref(),
                after: after.as_deref(),
                cursor: cursor.as_deref(),
                limit: PAGE_KEYS,
            };
            store.list_page(request).await
        })
    }

    async fn look_up(&self, found: &[Candidate]) -> Result<Vec<KeyStatus>, JobError> {
        let keys: Vec<_> = found.iter().map(|found| (found.key(), found.version())).collect();
        let mode = if self.store.is_ordered() { LookupMode::Interval } else { LookupMode::Each };
        let (db, storage, sync) = (&self.context.db, self.storage.id, self.job.sync_id);
        Ok(db.in_time(async { objects::look_up(&db.client().await?, storage, sync, &keys, mode).await }).await?)
    }
}

/// Removes keys that this page lists twice, and keys of the part that is being committed. Keys of earlier pages are
/// already in the ledger.
fn drop_repeats(found: &mut Vec<Candidate>, underway: &HashSet<String>) {
    let mut seen = HashSet::with_capacity(found.len());
    found.retain(|found| !underway.contains(found.key()) && seen.insert(found.key().to_owned()));
}

#[cfg(test)]
mod tests {
    use longshore_db::quarantine::QuarantinedObject;
    use longshore_model::QuarantineReason;
    use longshore_storage::ObjectMeta;

    use super::{Candidate, HashSet, drop_repeats};

    /// An object that the database stores under another key.
    fn renamed(key: &str, name: &str) -> Candidate {
        Candidate {
            object: ObjectMeta { key: key.to_owned(), etag: None, size: 1, modified_at: None },
            fault: Some(QuarantinedObject::object(name, None, 1, QuarantineReason::UnsupportedKey, "")),
        }
    }

    #[test]
    fn repeats_are_found_by_the_key_in_the_database() {
        let mut found = vec![renamed("a\0", "a…1"), renamed("b\0", "b…2"), renamed("b\0", "b…2")];
        drop_repeats(&mut found, &HashSet::from(["a…1".to_owned()]));
        assert_eq!(found.iter().map(Candidate::key).collect::<Vec<_>>(), ["b…2"]);
    }
}
