//! Import: makes tasks of the matching objects of a key range.
//!
//! A listed page is compared with the ledger. New objects are read (JSON mode) or only named (blob mode), and the
//! result is committed in one transaction. If the objects of a page are large, it is committed in several parts, and
//! only the last one moves the cursor. Importing a page a second time adds nothing.

mod candidate;
mod data_key;
mod fetch;
mod list;
mod poison;
mod record;
mod split;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use longshore_db::Counts;
use longshore_db::host::JobStorage;
use longshore_db::lifecycle::ClaimedJob;
use longshore_db::quarantine::QuarantinedObject;
use longshore_filter::KeyFilter;
use longshore_storage::{ObjectMeta, Storage};

use crate::context::Context;
use crate::items::{Item, Limits};
use crate::job_error::JobError;
use crate::jobs::{Handler, Page};
use crate::memory::Reservation;
use crate::slots::Quantum;
use data_key::{DataKey, data_key};
use fetch::FetchedPart;
use list::Listing;

/// Bytes of memory for one part of a page, unless a single object takes more.
///
/// Large enough that a page of ordinary task files is one part; small enough that eight jobs, each with one current
/// part and one prefetched part, rarely wait for each other with the default memory budget.
const PART_BYTES: u64 = 12 * 1024 * 1024;

/// The rows that the commit of one part of a page writes.
struct ImportWrites {
    storage: Arc<JobStorage>,
    imported: Vec<ImportedObject>,
    quarantined: Vec<QuarantinedObject>,
    /// Keys that leave quarantine.
    released: Vec<String>,
}

/// An imported object and its items.
struct ImportedObject {
    object: ObjectMeta,
    items: Vec<Item>,
}

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
    /// Objects of the listed page that are not read yet.
    pending: VecDeque<Pending>,
    /// The request for the page after that.
    prefetched: Option<Listing>,
    /// Keys of the part that is being committed. Set if the storage is not ordered, because the next page may repeat
    /// them.
    underway: HashSet<String>,
    /// The counts of the listed page, which the commit of its last part adds.
    listed: Counts,
    next: Option<String>,
    last: bool,
    /// The end of the range; a split lowers it.
    until: Option<String>,
    /// Pages listed in this attempt.
    pages: u32,
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
        Ok(Self {
            context,
            job,
            storage: Arc::new(storage),
            store,
            filter: Arc::new(filter),
            data_key,
            limits: Limits::default(),
            cursor: job.cursor.clone(),
            pending: VecDeque::new(),
            prefetched: None,
            underway: HashSet::new(),
            listed: Counts::default(),
            next: None,
            last: false,
            until: job.range_until.clone(),
            pages: 0,
        })
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

    /// The bytes of memory that reading an object may take: 0 in blob mode, and for objects that are not read.
    fn memory_of(&self, pending: &Pending) -> u64 {
        let (size, most) = (pending.object.size, self.context.memory.max_bytes());
        if self.storage.settings.use_blob_urls || size > most.min(self.limits.max_object_bytes as u64) {
            return 0;
        }
        expected(&pending.object, pending.tries).min(most)
    }

    /// Reserves memory for the next part of the page and reads it.
    async fn fetch_part(
        &mut self,
        quarantined: &[QuarantinedObject],
        is_poison: bool,
    ) -> Result<(FetchedPart, Option<Reservation>), JobError> {
        loop {
            // Poison is quarantined before another object of the page is read, which could end the worker too.
            let part = if is_poison { Vec::new() } else { self.take_part() };
            self.single_out(&part).await?;
            if !self.store.is_ordered() {
                let keys = part.iter().map(|pending| &pending.object.key);
                self.underway = keys.chain(quarantined.iter().map(|object| &object.key)).cloned().collect();
            }
            let bytes = part.iter().map(|pending| self.memory_of(pending)).sum();
            let reserved = if bytes > 0 { Some(self.context.memory.reserve(bytes).await) } else { None };
            let is_blob = self.storage.settings.use_blob_urls;
            let mut fetched = if is_blob { self.name(part) } else { self.fetch(part).await? };
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

/// The bytes of memory that reading an object probably takes: the stored bytes, the unpacked bytes, and memory for each
/// item. `tries` is the number of reservations that were too small; each raises the result.
///
/// A few tries lead from any size to the maximum of an object. The steps are small, so that many objects which compress
/// well still fit into one part.
fn expected(object: &ObjectMeta, tries: u32) -> u64 {
    /// Text compresses to about a tenth, and its items take the same memory again.
    const UNPACKING: u64 = 20;
    /// Bytes for a small list, which may compress better. A thousand times this is still little memory.
    const SMALL: u64 = 16 * 1024;
    /// Bytes for the maximum number of items. Items that are smaller than this allows for each are rare.
    const ITEMS: u64 = 10 * 1024 * 1024;
    /// Bytes of memory per stored byte, for items of three bytes.
    const TINY_ITEMS: u64 = 40;
    /// Bytes for the only item of a small object, with labels.
    const ITEM: u64 = 1024;
    const STEP: u64 = 16;
    let packed = |ending: &str| ending.eq_ignore_ascii_case("gz") || ending.eq_ignore_ascii_case("zst");
    let first = match object.key.rsplit_once('.') {
        Some((_, ending)) if packed(ending) => object.size.saturating_mul(UNPACKING).max(SMALL),
        _ => object.size.saturating_add(object.size.min(ITEMS)).saturating_add(ITEM),
    };
    let more = first.saturating_mul(STEP.saturating_pow(tries));
    // An object is mostly read again because it has many items, each of at least three bytes.
    let items = object.size.saturating_mul(TINY_ITEMS).min(ITEMS).saturating_add(object.size);
    if tries > 0 { more.max(items) } else { more }
}

#[async_trait]
impl Handler for Import<'_> {
    async fn perform(&mut self, quantum: &Quantum) -> Result<Page, JobError> {
        let mut quarantined = if self.pending.is_empty() { self.list(quantum).await? } else { Vec::new() };
        let poison = self.take_poison();
        let is_poison = poison.is_some();
        quarantined.extend(poison);
        let (fetched, reserved) = self.fetch_part(&quarantined, is_poison).await?;
        quarantined.extend(fetched.quarantined);
        let created = fetched.imported.iter().map(|imported| imported.items.len()).sum();
        let mut counts = Counts {
            imported: count(fetched.imported.len()),
            created: count(created),
            quarantined: count(quarantined.len()),
            vanished: fetched.vanished,
            failed: fetched.failed,
            bytes: fetched.bytes,
            ..Counts::default()
        };
        let passed = if counts.imported + counts.quarantined + fetched.vanished + fetched.failed > 0 {
            counts.imported + counts.quarantined + fetched.vanished + fetched.failed
        } else {
            // A page without new objects covers its keys, too.
            self.listed.listed.max(1)
        };
        // Counted here and not with the listing: an object counts as matched even if it has left the bucket when the
        // page is listed again.
        counts.matched = counts.imported + counts.quarantined + counts.vanished;
        // Only the last part of a page moves the cursor and counts its listing.
        let page_done = self.pending.is_empty() && fetched.failure.is_none();
        let split = if page_done && !self.last { self.split().await? } else { Vec::new() };
        if page_done {
            counts += std::mem::take(&mut self.listed);
            self.cursor.clone_from(&self.next);
        }
        Ok(Page {
            counts,
            passed: i32::try_from(passed).unwrap_or(i32::MAX),
            cursor: if page_done { self.next.clone() } else { None },
            last: page_done && self.last,
            failure: fetched.failure,
            writes: Box::new(ImportWrites {
                storage: Arc::clone(&self.storage),
                imported: fetched.imported,
                quarantined,
                released: fetched.released,
            }),
            split,
            reserved,
        })
    }
}

/// A length as a count. The numbers of a page are small.
fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{ObjectMeta, expected};

    fn object(key: &str, size: u64) -> ObjectMeta {
        ObjectMeta { key: key.to_owned(), etag: None, size, modified_at: None }
    }

    #[test]
    fn an_object_that_unpacks_to_more_than_expected_reaches_the_maximum_in_a_few_steps() {
        const KIB: u64 = 1024;
        assert_eq!([0, 1].map(|tries| expected(&object("a.json", KIB), tries)), [3 * KIB, 48 * KIB]);
        assert_eq!([0, 1].map(|tries| expected(&object("a.json.gz", 100), tries)), [16 * KIB, 256 * KIB]);
        assert_eq!(expected(&object("a.JSON.ZST", 20 * KIB), 0), 400 * KIB, "as unpacking knows it");
        for key in ["a", "a.jsonl.gz"] {
            assert!(expected(&object(key, 1), 7) >= 256 * KIB * KIB, "{key}");
            assert!(expected(&object(key, u64::MAX), u32::MAX) == u64::MAX, "{key}");
        }
    }
}
