//! Splitting a key range for idle slots, without an inventory of its keys.
//!
//! Probes find where the keys branch: a probe lists one key after a text, which is the next key. A few dozen concurrent
//! probes take a few round trips, and find the characters at which the remaining keys differ, for any distribution of
//! keys.

mod branches;

use std::time::Duration;

use longshore_db::workers;
use longshore_storage::{ListRequest, StorageError};
use tokio::time::Instant;
use tracing::info;

use super::Import;
use crate::heartbeat::LONGEST_BEAT;
use crate::job_error::JobError;

/// The time before a range without new objects is split. With a fast store, the rest of a small bucket is listed sooner than
/// its parts reach other workers: a re-sync of 10,000 keys takes 45 ms on loopback, and took 71 ms with a split. With a slow store,
/// two pages alone take about as long.
const WORTH_A_SPLIT: Duration = Duration::from_millis(50);

/// What an attempt has listed since it began, or since its last split.
pub(super) struct Unsplit {
    /// Pages listed.
    pub(super) pages: u32,
    /// Whether a page had an object to import or to quarantine.
    pub(super) has_found: bool,
    since: Instant,
}

impl Unsplit {
    pub(super) fn begin() -> Self {
        Self { pages: 0, has_found: false, since: Instant::now() }
    }
}

/// Maximum parts of one split. The parts can be split again.
const MOST_PARTS: i64 = 32;

impl Import<'_> {
    /// Returns where to split the rest of the range after the current page; empty if no slot is idle.
    ///
    /// From then on, this attempt stays below the first cut. The cuts are committed with the page: if the page does not
    /// commit, the range does not change.
    pub(super) async fn split(&mut self) -> Result<Vec<String>, JobError> {
        let after_pages = self.context.config.split_after_pages;
        if after_pages == 0 || self.unsplit.pages < after_pages || !self.is_ordered() || self.job.is_replay {
            return Ok(Vec::new());
        }
        if !self.unsplit.has_found && self.unsplit.since.elapsed() < WORTH_A_SPLIT {
            return Ok(Vec::new());
        }
        let Some(parts) = self.parts_wanted().await? else { return Ok(Vec::new()) };
        let Some(last) = self.next.clone() else { return Ok(Vec::new()) };
        let range = branches::Range { prefix: self.filter.prefix(), after: &last, until: self.until.as_deref() };
        let mut cuts = branches::find(&range, parts, |after| self.key_after(after)).await?;
        cuts.retain(|cut| self.store.can_split_at(cut));
        if let Some(first) = cuts.first() {
            info!(event = "range_split", job.id = self.job.lease.job, parts = cuts.len(), "range split for idle slots");
            self.until = Some(first.clone());
            // The rest may be short now, so the next split waits for the same number of pages again.
            self.unsplit = Unsplit::begin();
        }
        Ok(cuts)
    }

    /// How many parts of this job idle workers could take.
    async fn parts_wanted(&self) -> Result<Option<usize>, JobError> {
        // A worker without a heartbeat for six periods has stopped. A lease may be much longer, such as an hour.
        let seen_within = self.context.config.lease.min(LONGEST_BEAT * 6);
        let db = &self.context.db;
        let load = db.in_time(async { workers::load(&db.client().await?, seen_within).await }).await?;
        let idle = load.slots - load.jobs;
        // All running jobs see the same idle slots, so each takes its share, and the remainder at random.
        let jobs = load.jobs.max(1);
        let share = idle / jobs + i64::from(rand::random_range(0..jobs) < idle % jobs);
        Ok(usize::try_from(share.min(MOST_PARTS)).ok().filter(|parts| *parts > 0))
    }

    /// The first key or folder after a text.
    async fn key_after(&self, after: String) -> Result<Option<String>, StorageError> {
        let request = ListRequest {
            prefix: self.filter.prefix(),
            delimiter: self.filter.delimiter(),
            after: Some(&after),
            limit: 1,
            raw_keys: self.place.raw_keys,
            ..ListRequest::default()
        };
        let page = self.store.list_page(request).await?;
        let key = page.objects.into_iter().map(|listed| listed.meta.key);
        Ok(key.chain(page.prefixes).min())
    }
}
