//! Numbered pages, in the format of Label Studio.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Rows per page by default, the same as in Label Studio.
const DEFAULT_SIZE: i64 = 100;

/// Larger pages would be slow, and a client gains nothing over several quick ones.
const MAX_SIZE: i64 = 1_000;

/// Selects a page.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The number of the page, from 1.
    #[serde(default)]
    page: Option<i64>,
    /// Rows per page; 100 by default, 1,000 at most.
    #[serde(default)]
    page_size: Option<i64>,
}

impl PageQuery {
    pub(crate) fn new(page: Option<i64>, page_size: Option<i64>) -> Self {
        Self { page, page_size }
    }

    /// Rows on the page.
    pub(crate) fn limit(self) -> i64 {
        self.page_size.unwrap_or(DEFAULT_SIZE).clamp(1, MAX_SIZE)
    }

    /// Rows before the page.
    pub(crate) fn offset(self) -> i64 {
        (self.page.unwrap_or(1).max(1) - 1).saturating_mul(self.limit())
    }

    /// Whether the page is past the end. The first page never is, even if there are no rows.
    pub(crate) fn is_past(self, total: i64) -> bool {
        self.page.is_some_and(|page| page < 1) || (self.offset() > 0 && self.offset() >= total)
    }
}

/// One page of rows, in the format of Label Studio's lists.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// Rows on all pages.
    pub(crate) count: i64,
    /// Relative URL of the next page; null on the last page.
    pub(crate) next: Option<String>,
    /// Relative URL of the previous page; null on the first page.
    pub(crate) previous: Option<String>,
    pub(crate) results: Vec<T>,
}

impl<T> Page<T> {
    pub(crate) fn new(path: &str, query: PageQuery, count: i64, results: Vec<T>) -> Self {
        let number = query.page.unwrap_or(1);
        let url = |page: i64| format!("{path}?page={page}&page_size={}", query.limit());
        Self {
            count,
            next: (query.offset() + query.limit() < count).then(|| url(number + 1)),
            previous: (number > 1).then(|| url(number - 1)),
            results,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(page: i64, page_size: i64) -> PageQuery {
        PageQuery { page: Some(page), page_size: Some(page_size) }
    }

    #[test]
    fn the_page_after_the_last_is_past_the_end_and_the_first_never_is() {
        assert!(!PageQuery::default().is_past(0));
        assert!(!query(2, 10).is_past(11));
        assert!(query(2, 10).is_past(10));
        assert!(query(0, 10).is_past(10));
        assert!(query(i64::MAX, 1000).is_past(10));
    }

    #[test]
    fn a_page_has_the_urls_of_the_next_and_the_previous_page() {
        let page = Page::new("/api/projects", query(2, 10), 25, vec![0]);
        assert_eq!(page.previous.as_deref(), Some("/api/projects?page=1&page_size=10"));
        assert_eq!(page.next.as_deref(), Some("/api/projects?page=3&page_size=10"));
        assert!(Page::new("/api/projects", query(3, 10), 25, vec![0]).next.is_none());
    }
}
