//! Remembers where numbered pages ended, so that page n+1 is a keyset query instead of OFFSET.
//!
//! With OFFSET, a reader of ten million rows makes the database read all rows before each page. A page still uses
//! OFFSET if pages are read out of order, or if another scheduler answered the previous page.

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// Cached cursors: this many clients can read pages in order at the same time. More would use memory for clients that
/// have stopped; with fewer, some of many clients would fall back to OFFSET.
const CAPACITY: u64 = 256;

/// A page, as a request selects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    pub(super) project: i64,
    pub(super) size: i64,
    pub(super) number: i64,
}

/// The ID of the last row of recent pages, by the key of the next page.
pub(super) struct PageCursorCache(Cache<PageKey, i64>);

impl Default for PageCursorCache {
    fn default() -> Self {
        // LRU: a cursor is read once, so the number of reads does not predict the next one.
        Self(Cache::builder().max_capacity(CAPACITY).eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl PageCursorCache {
    /// The ID of the last row before a page, if this scheduler has answered the previous page recently.
    pub(super) fn before(&self, page: PageKey) -> Option<i64> {
        self.0.get(&page)
    }

    /// Caches the ID of the last row of a page.
    pub(super) fn put(&self, page: PageKey, last: i64) {
        self.0.insert(PageKey { number: page.number.saturating_add(1), ..page }, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(project: i64, number: i64) -> PageKey {
        PageKey { project, size: 100, number }
    }

    #[test]
    fn a_page_starts_where_the_one_before_ended() {
        let cursors = PageCursorCache::default();
        cursors.put(page(1, 1), 100);
        cursors.put(page(2, 1), 7);
        assert_eq!(cursors.before(page(1, 2)), Some(100));
        for other in [page(1, 1), page(1, 3), page(3, 2), PageKey { size: 50, ..page(1, 2) }] {
            assert_eq!(cursors.before(other), None, "{other:?}");
        }
        cursors.put(page(1, 1), 103);
        assert_eq!(cursors.before(page(1, 2)), Some(103), "read again");
    }

    #[test]
    fn the_oldest_cursor_is_evicted_first() {
        let cursors = PageCursorCache::default();
        for project in 0..=i64::try_from(CAPACITY).unwrap() {
            cursors.put(page(project, 1), project);
        }
        cursors.0.run_pending_tasks();
        assert_eq!((cursors.before(page(0, 2)), cursors.before(page(1, 2))), (None, Some(1)));
    }
}
