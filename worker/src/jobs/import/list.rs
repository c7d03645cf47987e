//! Listing of pages. While the keys of one page are looked up, the next page is already requested.

use std::collections::HashSet;
use std::sync::Arc;

use longshore_db::Counts;
use longshore_db::objects::{self, KeyStatus, ListedPage, LookupMode, PageStatus, Unlisted};
use longshore_db::quarantine::QuarantinedObject;
use longshore_storage::{ListPage, ListRequest, ListedObject, StorageError};

use super::candidate::Candidate;
use super::skipped::Judged;
use super::{Import, Pending, count};
use crate::job_error::JobError;
use crate::jobs::prefetch::Prefetch;
use crate::slots::Quantum;

/// Keys per page: the largest page that S3, GCS and Azure all support.
const PAGE_KEYS: u16 = 1_000;

/// A text after every key: no key has this character.
const AFTER_ALL: &str = "\u{10FFFF}";

/// A requested page.
pub(super) type Listing = Prefetch<Result<ListPage, StorageError>>;

impl Import<'_> {
    /// Lists the next page and decides what to do with each of its keys.
    pub(super) async fn list(&mut self, quantum: &Quantum) -> Result<Vec<QuarantinedObject>, JobError> {
        let start = self.cursor.clone().or_else(|| self.job.range_after.clone());
        let listing = self.prefetched.take().unwrap_or_else(|| self.start_listing(self.listing_start()));
        let page = self.checked_page(listing.result().await).await?;
        let folders = self.folders(&page).await?;
        let (objects, prefixes) = self.take_page(page);
        self.last = self.next.is_none();
        self.unsplit.pages += 1;
        if !self.last && !quantum.is_over() {
            self.prefetched = Some(self.start_listing(self.next.clone()));
        }

        let mut found: Vec<Candidate> = objects.into_iter().map(Candidate::of).collect();
        self.drop_listed(&mut found).await?;
        self.listed = Counts { pages: 1, listed: count(found.len()), ..Counts::default() };
        let Judged { found, left_out, skipped } = self.judge(found, &folders).await?;
        self.listed.skipped = skipped;
        self.listed.skipped.depth += count(prefixes.len());
        let PageStatus { statuses, existed_tasks, unlisted } = self.look_up(&found, start.as_deref()).await?;
        self.unlisted = self.left_bucket(unlisted, &left_out).await?;
        let mut quarantined = Vec::new();
        for (found, status) in found.into_iter().zip(statuses) {
            let again = match status {
                KeyStatus::New => false,
                KeyStatus::Retry => true,
                KeyStatus::Existed => {
                    self.listed.existed += 1;
                    continue;
                }
                KeyStatus::StillQuarantined(reason) => {
                    self.listed.still_quarantined += 1;
                    if let Some(page) = &mut self.first_page {
                        page.add_known(reason);
                    }
                    continue;
                }
                KeyStatus::Counted => {
                    // An earlier attempt has recorded a part of the page.
                    self.first_page = None;
                    continue;
                }
            };
            match found.fault {
                Some(fault) => quarantined.push(fault),
                None => self.pending.push_back(Pending { object: found.object, again, tries: 0 }),
            }
        }
        self.listed.unchanged = existed_tasks;
        self.listed.matched = self.listed.existed + self.listed.still_quarantined;
        Ok(quarantined)
    }

    /// The objects and prefixes of a page in the job's range. Keeps where the next page starts.
    fn take_page(&mut self, page: ListPage) -> (Vec<ListedObject>, Vec<String>) {
        let (mut objects, mut prefixes) = (page.objects, page.prefixes);
        self.next = page.next;
        self.place.token = if self.is_ordered() { page.token } else { self.next.clone() };
        if let Some(until) = &self.until {
            prefixes.retain(|prefix| prefix <= until);
            let inside = objects.partition_point(|listed| listed.key() <= until.as_str());
            if inside < objects.len() {
                objects.truncate(inside);
                self.next = None;
            }
        }
        (objects, prefixes)
    }

    /// Removes what earlier pages have listed, if the listing is not in key order.
    async fn drop_listed(&mut self, found: &mut Vec<Candidate>) -> Result<(), JobError> {
        if self.is_ordered() {
            return Ok(());
        }
        let listed = found.len();
        self.drop_repeats(found).await?;
        if self.store.is_ordered() {
            self.place.count_page(listed, found.len())?;
            // From now on, the next page is where the server says.
            self.next = self.next.take().map(|token| self.place.cursor(&token));
        }
        Ok(())
    }

    /// The page, listed again if it is the first and shows that the store lists otherwise than in key order, if the server
    /// refuses the token of an earlier attempt, or if its keys were misread.
    async fn checked_page(&mut self, listed: Result<ListPage, StorageError>) -> Result<ListPage, JobError> {
        let page = match listed {
            Err(error) if self.place.restarts_after(&error) => self.start_listing(None).result().await?,
            Ok(page) if self.is_unexamined(&page) && self.examine().await? => self.start_listing(None).result().await?,
            listed => listed?,
        };
        if self.examine_spelling(&page).await? {
            return Ok(self.start_listing(self.listing_start()).result().await?);
        }
        Ok(page)
    }

    /// Where the next page starts, for the store.
    fn listing_start(&self) -> Option<String> {
        if self.place.is_ordered() { self.cursor.clone() } else { self.place.token.clone() }
    }

    /// Requests a page. `cursor` is where it starts: a key, or a token if the listing is not in key order.
    pub(super) fn start_listing(&self, cursor: Option<String>) -> Listing {
        let store = Arc::clone(&self.store);
        let (paging, raw_keys) = (self.place.paging, self.place.raw_keys);
        let token = self.place.token.clone().filter(|_| self.place.is_ordered() && cursor.is_some());
        let (prefix, delimiter) = (self.filter.prefix().to_owned(), self.filter.delimiter().map(str::to_owned));
        let after = self.job.range_after.clone();
        Prefetch::start(async move {
            let request = ListRequest {
                prefix: &prefix,
                delimiter: delimiter.as_deref(),
                after: after.as_deref(),
                cursor: cursor.as_deref(),
                token: token.as_deref(),
                limit: PAGE_KEYS,
                paging,
                raw_keys,
            };
            store.list_page(request).await
        })
    }

    /// Looks up the keys of the page that starts after `start`.
    async fn look_up(&self, found: &[Candidate], start: Option<&str>) -> Result<PageStatus, JobError> {
        let objects: Vec<_> = found.iter().map(|found| (found.key(), found.version())).collect();
        let mode = if self.is_ordered() { LookupMode::Interval } else { LookupMode::Each };
        let end = self.next.as_deref().or(self.until.as_deref());
        let is_certain = |edge: Option<&str>| edge.is_none_or(|edge| self.store.can_split_at(edge));
        let is_covered = self.is_ordered() && is_certain(start) && is_certain(end);
        let covers = is_covered.then(|| (start.unwrap_or_default(), end.unwrap_or(AFTER_ALL)));
        let counts_tasks = self.context.host.counts_known_tasks();
        let page = ListedPage { objects: &objects, mode, covers, counts_tasks };
        let (db, storage, sync) = (&self.context.db, self.storage.id, self.job.sync_id);
        Ok(db.in_time(async { objects::look_up(&db.client().await?, storage, sync, &page).await }).await?)
    }

    /// Whether a key is below the prefix, on the level of the listing.
    pub(super) fn is_in_scope(&self, key: &str) -> bool {
        let below = key.strip_prefix(self.filter.prefix());
        below.is_some_and(|below| self.filter.delimiter().is_none_or(|delimiter| !below.contains(delimiter)))
    }

    /// The IDs of quarantine rows whose objects are not in the bucket any more. Those that the filter skips are, and
    /// those outside of the prefix and the level of this listing may be.
    async fn left_bucket(&self, unlisted: Vec<Unlisted>, left_out: &[Candidate]) -> Result<Vec<i64>, JobError> {
        if !self.is_ordered() {
            return if self.last { self.find_unlisted().await } else { Ok(Vec::new()) };
        }
        if unlisted.is_empty() {
            return Ok(Vec::new());
        }
        let left_out: HashSet<&str> = left_out.iter().map(Candidate::key).collect();
        let left =
            unlisted.into_iter().filter(|row| self.is_in_scope(&row.key) && !left_out.contains(row.key.as_str()));
        Ok(left.map(|row| row.id).collect())
    }
}
