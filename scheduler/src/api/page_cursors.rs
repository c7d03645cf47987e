//! Where numbered pages ended, so that whoever turns them in order never counts rows off.
//!
//! Page numbers alone make a reader of ten million rows read all rows before each page. A page that was
//! answered here is remembered by its last row, and the page after it starts there. A number out of order,
//! or one whose page before was answered by another scheduler, is counted off as ever.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Pages remembered: as many readers at once can turn pages in order.
const REMEMBERED: usize = 256;

/// A page as a request names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) project: i64,
    pub(super) size: i64,
    pub(super) number: i64,
}

impl Leaf {
    fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }
}

/// The pages read last. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Bookmarks(Arc<Mutex<VecDeque<(Leaf, i64)>>>);

impl Bookmarks {
    /// The last row before a page, if the page before it was read here lately.
    pub(super) fn before(&self, page: Leaf) -> Option<i64> {
        let marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        marks.iter().rev().find(|(read, _)| read.next() == page).map(|(_, last)| *last)
    }

    /// Remembers the last row of a page.
    pub(super) fn put(&self, page: Leaf, last: i64) {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        marks.retain(|(read, _)| *read != page);
        if marks.len() == REMEMBERED {
            marks.pop_front();
        }
        marks.push_back((page, last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(project: i64, number: i64) -> Leaf {
        Leaf { project, size: 100, number }
    }

    #[test]
    fn a_page_starts_where_the_one_before_ended() {
        let marks = Bookmarks::default();
        marks.put(leaf(1, 1), 100);
        marks.put(leaf(2, 1), 7);
        assert_eq!(marks.before(leaf(1, 2)), Some(100));
        for other in [leaf(1, 1), leaf(1, 3), leaf(3, 2), Leaf { size: 50, ..leaf(1, 2) }] {
            assert_eq!(marks.before(other), None, "{other:?}");
        }
        marks.put(leaf(1, 1), 103);
        assert_eq!(marks.before(leaf(1, 2)), Some(103), "read anew");
    }

    #[test]
    fn the_oldest_mark_goes_first() {
        let marks = Bookmarks::default();
        for project in 0..=REMEMBERED as i64 {
            marks.put(leaf(project, 1), project);
        }
        assert_eq!((marks.before(leaf(0, 2)), marks.before(leaf(1, 2))), (None, Some(1)));
    }
}
