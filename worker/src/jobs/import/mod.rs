//! Import: makes tasks of the matching objects of a key range.
//!
//! A listed page is compared with the ledger. New objects are read (JSON mode) or only named (blob mode), and the
//! result is committed in one transaction. If the objects of a page are large, it is committed in several parts, and
//! only the last one moves the cursor. Importing a page a second time adds nothing.

mod begin;
mod candidate;
mod counts;
mod data_key;
mod fetch;
mod first_page;
mod list;
mod place;
mod poison;
mod read;
mod record;
mod references;
mod refusal;
mod relist;
mod replay;
mod reservation;
mod scan;
mod skipped;
mod split;
mod summary;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use longshore_db::Counts;
use longshore_db::host::JobStorage;
use longshore_db::lifecycle::ClaimedJob;
use longshore_filter::KeyFilter;
use longshore_model::Capabilities;
use longshore_storage::{ObjectMeta, Storage};

use crate::context::Context;
use crate::job_error::JobError;
use crate::jobs::{Handler, Page};
use crate::memory::Reservation;
use crate::slots::Quantum;
use data_key::data_key;
use fetch::FetchedPart;
use first_page::FirstPage;
use list::Listing;
use longshore_items::{DataKey, Limits};
use place::Place;
use record::{ImportWrites, ImportedObject};
use replay::ReplayPage;
use scan::Scan;
use skipped::KnownTargets;
use split::Unsplit;

/// Bytes of memory for one part of a page, unless a single object takes more.
///
/// Large enough that a page of ordinary task files is one part; small enough that eight jobs, each with one current
/// part and one prefetched part, rarely wait for each other with the default memory budget.
const PART_BYTES: u64 = 12 * 1024 * 1024;

/// The import of one key range.
pub(crate) struct Import<'a> {
    context: &'a Context,
    job: &'a ClaimedJob,
    storage: Arc<JobStorage>,
    store: Arc<dyn Storage>,
    filter: Arc<KeyFilter>,
    data_key: DataKey,
    limits: Limits,
    cursor: Option<String>,
    /// How the listing is continued.
    place: Place,
    /// What is known of the store's listings.
    known: Option<Capabilities>,
    /// Whether this attempt has tried to find out how the server spells keys.
    is_spelling_examined: bool,
    /// Objects of the listed page that are not read yet.
    pending: VecDeque<Pending>,
    /// The request for the page after that.
    prefetched: Option<Listing>,
    /// The keys that this attempt has listed, if the storage is not ordered.
    scan: Option<Scan>,
    /// IDs of quarantine rows whose objects left the bucket, found by the listing of the page.
    unlisted: Vec<i64>,
    /// The counts of the listed page, which the commit of its last part adds.
    listed: Counts,
    next: Option<String>,
    last: bool,
    /// The end of the range; a split lowers it.
    until: Option<String>,
    unsplit: Unsplit,
    /// Whether the storage's listings state other etags than its answers, as an object has shown.
    other_etags: AtomicBool,
    /// The first page of the sync, if it must be judged before anything else is listed.
    first_page: Option<FirstPage>,
    /// What a job that tries refused objects again knows of its page.
    replay: ReplayPage,
    export_targets: KnownTargets,
}

/// An object to import.
struct Pending {
    object: ObjectMeta,
    /// Whether it is in quarantine, and leaves it if it can be imported now.
    again: bool,
    /// How often it was read and needed more memory than was reserved.
    tries: u32,
}

impl<'a> Import<'a> {
    /// Prepares the import of a claimed job's range.
    ///
    /// # Errors
    /// The storage's filter is invalid: a release with fewer limits saved it.
    pub(crate) async fn new(
        context: &'a Context,
        job: &'a ClaimedJob,
        storage: JobStorage,
        store: Arc<dyn Storage>,
    ) -> Result<Self, JobError> {
        let filter = KeyFilter::of(&storage.settings).map_err(|error| JobError::Settings(error.to_string()))?;
        let data_key = data_key(&storage.label_config).await?;
        let is_range = job.range_after.is_some() || job.range_until.is_some();
        let place = Place::of(job.cursor.as_deref(), is_range, storage.capabilities);
        let (storage, is_ordered) = (Arc::new(storage), store.is_ordered() && place.is_ordered());
        let mut import = Self {
            context,
            job,
            storage: Arc::clone(&storage),
            store,
            filter: Arc::new(filter),
            data_key,
            limits: Limits::default(),
            cursor: job.cursor.clone(),
            is_spelling_examined: place.raw_keys.is_some(),
            place,
            known: storage.capabilities,
            pending: VecDeque::new(),
            prefetched: None,
            scan: (!is_ordered).then(Scan::default),
            unlisted: Vec::new(),
            listed: Counts::default(),
            next: None,
            last: false,
            until: job.range_until.clone(),
            unsplit: Unsplit::begin(),
            other_etags: AtomicBool::new(false),
            first_page: None,
            replay: ReplayPage::default(),
            export_targets: KnownTargets::default(),
        };
        // The first part of a split range keeps the open beginning, so this is the first page of the sync.
        if job.cursor.is_none() && job.range_after.is_none() && !job.is_replay {
            // Its listing need not wait for the host.
            import.prefetched = Some(import.start_listing(None));
            begin::begin(context, &storage).await?;
            let settings = &storage.settings;
            import.first_page = (settings.stop_when_unusable && !settings.use_blob_urls).then(FirstPage::default);
            import.unsplit = Unsplit::begin();
        }
        Ok(import)
    }

    /// Takes as many pending objects as fit into one part; at least one if there is any. If the job has ended its
    /// worker several times, parts replace pages in the search for poison: they shrink until one object is left to
    /// blame.
    fn take_part(&mut self) -> Vec<Pending> {
        let mut part = Vec::new();
        let mut bytes = 0;
        let most = self.job.page_limit().map_or(usize::MAX, usize::from);
        while let Some(pending) = self.pending.front() {
            bytes += self.memory_of(pending);
            if !part.is_empty() && (bytes > PART_BYTES || part.len() >= most) {
                break;
            }
            part.extend(self.pending.pop_front());
        }
        part
    }

    /// Reserves memory for the next part of the page and reads it.
    async fn fetch_part(&mut self, is_poison: bool) -> Result<(FetchedPart, Option<Reservation>), JobError> {
        loop {
            // Poison is quarantined before another object of the page is read, which could end the worker too.
            let part = if is_poison { Vec::new() } else { self.take_part() };
            self.single_out(&part).await?;
            let bytes = part.iter().map(|pending| self.memory_of(pending)).sum();
            let reserved = if bytes > 0 { Some(self.context.memory.reserve(bytes).await) } else { None };
            let is_blob = self.storage.settings.use_blob_urls;
            let mut fetched = if is_blob { self.name(part) } else { self.fetch(part).await? };
            self.correct(&mut fetched).await?;
            let larger = std::mem::take(&mut fetched.larger);
            // If this part has no other result, read the larger objects in the same call: otherwise each quantum could
            // end here, without any progress.
            let continues = !larger.is_empty() && fetched.is_empty();
            for pending in larger.into_iter().rev() {
                self.pending.push_front(pending);
            }
            if !continues {
                return Ok((fetched, reserved));
            }
        }
    }
}

#[async_trait]
impl Handler for Import<'_> {
    async fn perform(&mut self, quantum: &Quantum) -> Result<Page, JobError> {
        match self.perform_page(quantum).await {
            Err(JobError::Storage(error)) if self.is_ordered() && error.is_out_of_order() => Err(self.relist().await),
            result => result,
        }
    }
}

impl Import<'_> {
    async fn perform_page(&mut self, quantum: &Quantum) -> Result<Page, JobError> {
        let mut quarantined = if !self.pending.is_empty() {
            Vec::new()
        } else if self.job.is_replay {
            self.take_refused().await.map(|()| Vec::new())?
        } else {
            self.list(quantum).await?
        };
        let poison = self.take_poison();
        let is_poison = poison.is_some();
        quarantined.extend(poison);
        let (fetched, reserved) = self.fetch_part(is_poison).await?;
        self.unsplit.has_found |= !fetched.is_empty() || !quarantined.is_empty();
        let mut counts = self.count_part(&fetched, quarantined.len());
        self.judge_first_page(&quarantined, &fetched)?;
        let passed = if self.job.is_replay {
            count(fetched.imported.len() + fetched.quarantined.len()) + fetched.vanished
        } else {
            counts.imported + counts.quarantined + fetched.vanished + fetched.failed
        };
        // A page without new objects covers its keys, too.
        let passed = if passed > 0 { passed } else { self.listed.listed.max(1) };
        quarantined.extend(fetched.quarantined);
        if self.job.is_replay && fetched.is_cut {
            self.pending.clear();
            self.last = true;
        }
        // Only the last part of a listed page moves the cursor and counts its listing.
        let page_done = self.pending.is_empty() && fetched.failure.is_none();
        if page_done && self.job.is_replay {
            self.last |= self.replay.settled == 0;
        }
        let split = if page_done && !self.last { self.split().await? } else { Vec::new() };
        if page_done {
            counts += std::mem::take(&mut self.listed);
            self.cursor.clone_from(&self.next);
        } else if self.job.is_replay {
            self.cursor = self.replay.cursor(&self.pending).or(self.cursor.take());
        }
        let summary = summary::sum(&fetched.imported).await?;
        let scanned = self.scan.as_mut().filter(|_| page_done).map(Scan::take_page);
        Ok(Page {
            counts,
            passed: i32::try_from(passed).unwrap_or(i32::MAX),
            cursor: if page_done || self.job.is_replay { self.cursor.clone() } else { None },
            last: page_done && self.last,
            holds: self.job.is_replay && self.pending.iter().any(|pending| pending.tries > 0),
            failure: fetched.failure,
            writes: Box::new(ImportWrites {
                storage: Arc::clone(&self.storage),
                imported: fetched.imported,
                summary,
                quarantined,
                released: fetched.released,
                unlisted: std::mem::take(&mut self.unlisted),
                scanned: scanned.unwrap_or_default(),
            }),
            split,
            reserved,
        })
    }
}

impl Import<'_> {
    /// Whether its pages are in key order, so that a range of keys can be listed by itself.
    fn is_ordered(&self) -> bool {
        self.store.is_ordered() && self.place.is_ordered()
    }
}

/// A length as a count. The numbers of a page are small.
fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
