//! What a part of a page counts.

use longshore_db::Counts;

use super::fetch::FetchedPart;
use super::{Import, count};

impl Import<'_> {
    /// The counts of a part of a page, without its listing. `faulty` objects are quarantined unread.
    pub(super) fn count_part(&mut self, fetched: &FetchedPart, faulty: usize) -> Counts {
        if self.job.is_replay {
            return self.recount(fetched);
        }
        let created = fetched.imported.iter().map(|imported| imported.items.len()).sum();
        let counts = Counts {
            imported: count(fetched.imported.len()),
            created: count(created),
            quarantined: count(faulty + fetched.quarantined.len()),
            vanished: fetched.vanished,
            failed: fetched.failed,
            bytes: fetched.bytes,
            ..Counts::default()
        };
        // Counted here and not with the listing: an object counts as matched even if it has left the bucket when the
        // page is listed again.
        Counts { matched: counts.imported + counts.quarantined + counts.vanished, ..counts }
    }
}
