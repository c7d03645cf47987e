//! The listing of a storage without order: it may list a key several times, and a page does not show which keys the
//! others lack.

use std::collections::HashSet;

use longshore_db::{quarantine, scanned_keys};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Import;
use super::candidate::Candidate;
use crate::job_error::JobError;

/// Quarantine rows that are compared with the listing at once.
const BATCH_ROWS: i64 = 5_000;

/// The most quarantine rows that one sync closes. The next sync closes further ones.
const MOST_CLOSED: usize = 50_000;

/// The keys of the latest pages, as digests. Those of earlier pages are in table `scanned_keys`.
#[derive(Default)]
pub(super) struct Scan {
    /// Keys of the page that is being read.
    page: Vec<Uuid>,
    /// Keys of the page before it, whose commit may not have ended.
    before: HashSet<Uuid>,
}

impl Scan {
    /// Ends the page, and returns the keys that its commit records.
    pub(super) fn take_page(&mut self) -> Vec<Uuid> {
        let digests = std::mem::take(&mut self.page);
        self.before = digests.iter().copied().collect();
        digests
    }
}

impl Import<'_> {
    /// Removes keys that this page lists twice, or that an earlier page has listed, and takes the others as the page.
    pub(super) async fn drop_repeats(&mut self, found: &mut Vec<Candidate>) -> Result<(), JobError> {
        let digests: Vec<Uuid> = found.iter().map(|found| digest(found.key())).collect();
        // Without a cursor, no page was committed before this attempt.
        let mut seen = if self.cursor.is_some() { self.recorded(&digests).await? } else { HashSet::new() };
        let Some(scan) = &mut self.scan else { return Ok(()) };
        scan.page.clear();
        let mut keys = digests.into_iter();
        found.retain(|_| {
            // There is a digest for each key.
            let Some(key) = keys.next() else { return false };
            let is_new = !scan.before.contains(&key) && seen.insert(key);
            if is_new {
                scan.page.push(key);
            }
            is_new
        });
        Ok(())
    }

    /// Finds the quarantined objects that no page has listed. Call it for the last page.
    pub(super) async fn find_unlisted(&self) -> Result<Vec<i64>, JobError> {
        let (db, storage, sync) = (&self.context.db, self.storage.id, self.job.sync_id);
        let prefix = self.filter.prefix();
        let (mut unlisted, mut after) = (Vec::new(), String::new());
        loop {
            let read =
                async { quarantine::open_below(&db.client().await?, storage, sync, prefix, &after, BATCH_ROWS).await };
            let rows = db.in_time(read).await?;
            let digests: Vec<Uuid> = rows.iter().map(|(_, key)| digest(key)).collect();
            let mut listed = self.recorded(&digests).await?;
            if let Some(scan) = &self.scan {
                listed.extend(scan.page.iter().chain(&scan.before));
            }
            let missing =
                rows.iter().zip(digests).filter(|((_, key), digest)| self.is_in_scope(key) && !listed.contains(digest));
            unlisted.extend(missing.map(|((id, _), _)| *id));
            let is_full = i64::try_from(rows.len()) == Ok(BATCH_ROWS);
            match rows.into_iter().last() {
                Some((_, last)) if is_full && unlisted.len() < MOST_CLOSED => after = last,
                _ => return Ok(unlisted),
            }
        }
    }

    async fn recorded(&self, digests: &[Uuid]) -> Result<HashSet<Uuid>, JobError> {
        let (db, job) = (&self.context.db, self.job.lease.job);
        let read = async { scanned_keys::among(&db.client().await?, job, digests).await };
        Ok(db.in_time(read).await?.into_iter().collect())
    }
}

fn digest(key: &str) -> Uuid {
    let mut digest = uuid::Bytes::default();
    digest.iter_mut().zip(Sha256::digest(key.as_bytes())).for_each(|(byte, of_key)| *byte = of_key);
    Uuid::from_bytes(digest)
}

#[cfg(test)]
mod tests {
    use super::{Scan, digest};

    #[test]
    fn keys_of_a_page_count_as_listed_until_the_page_after_it_ends() {
        let mut scan = Scan { page: vec![digest("a"), digest("b")], ..Scan::default() };
        assert_ne!(digest("a"), digest("b"));
        assert_eq!(scan.take_page().len(), 2);
        assert!(scan.before.contains(&digest("a")) && scan.page.is_empty());
        assert!(scan.take_page().is_empty() && scan.before.is_empty());
    }
}
