//! Where a listing is: after a key, or at a token of the server.

use longshore_model::{Capabilities, FailureReason, Paging};
use longshore_storage::{ErrorKind, Op, StorageError};

/// Begins the cursors that hold a token. No key contains it.
const MARK: char = '\u{10FFFF}';

/// Pages in a row that may have no new key, beyond those that an earlier attempt listed: two servers of a store may not agree
/// for a moment.
const SPARE_REPEATS: u32 = 2;

/// How often a listing may begin again because the server forgot its token.
const MOST_RESTARTS: u32 = 10;

/// How the listing of an attempt is continued.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) paging: Paging,
    /// Whether the server sends keys as they are, or encoded. `None` if that is not known beyond what its answers say.
    pub(super) raw_keys: Option<bool>,
    /// What the server itself continues with after the last page, if this attempt has listed it.
    pub(super) token: Option<String>,
    /// Pages that had new keys.
    pages: u32,
    /// Pages in a row whose keys were all listed before.
    repeats: u32,
    /// How often the listing began again.
    restarts: u32,
}

impl Place {
    /// Where a job begins: at its cursor, or where its range begins.
    pub(super) fn of(cursor: Option<&str>, is_range: bool, capabilities: Option<Capabilities>) -> Self {
        let capabilities = capabilities.unwrap_or_default();
        let raw_keys = capabilities.raw_keys;
        let place = match cursor {
            Some(cursor) => Self::read(cursor).unwrap_or_default(),
            // Ranges are only of listings in key order.
            None if is_range => Self::default(),
            None => Self { paging: capabilities.paging.unwrap_or_default(), ..Self::default() },
        };
        Self { raw_keys, ..place }
    }

    /// Reads a cursor that holds a token. `None` for one that is a key.
    fn read(cursor: &str) -> Option<Self> {
        let mut parts = cursor.strip_prefix(MARK)?.splitn(5, ':');
        let paging = match parts.next()? {
            "marker" => Paging::Marker,
            _ => Paging::Token,
        };
        let mut number = || parts.next()?.parse().ok();
        let (pages, repeats, restarts) = (number()?, number()?, number()?);
        Some(Self { paging, pages, repeats, restarts, token: parts.next().map(str::to_owned), raw_keys: None })
    }

    /// The cursor of the next page, which the server continues with `token`.
    pub(super) fn cursor(&self, token: &str) -> String {
        let Self { paging, pages, repeats, restarts, .. } = self;
        format!("{MARK}{}:{pages}:{repeats}:{restarts}:{token}", paging.as_str())
    }

    /// Whether listings are in key order, and begin after any key.
    pub(super) fn is_ordered(&self) -> bool {
        self.paging == Paging::Key
    }

    /// Counts a page of a listing that is not in key order.
    ///
    /// # Errors
    /// The server lists the same keys again and again. After a crash or with a token that it forgot, it lists those of
    /// earlier pages once more.
    pub(super) fn count_page(&mut self, listed: usize, new: usize) -> Result<(), StorageError> {
        if new > 0 {
            self.pages = self.pages.saturating_add(1);
            self.repeats = 0;
        } else if listed > 0 {
            self.repeats = self.repeats.saturating_add(1);
        }
        if self.repeats > self.pages.saturating_add(SPARE_REPEATS) { Err(unsupported()) } else { Ok(()) }
    }

    /// Begins again if the server refuses the token of an earlier attempt. Returns whether it does.
    pub(super) fn restarts_after(&mut self, error: &StorageError) -> bool {
        let is_refused = matches!(error.kind, ErrorKind::Invalid | ErrorKind::NotFound) && self.token.is_some();
        let restarts = !self.is_ordered() && is_refused && self.restarts < MOST_RESTARTS;
        if restarts {
            self.restarts += 1;
            self.token = None;
        }
        restarts
    }
}

fn unsupported() -> StorageError {
    StorageError::new(Op::List, ErrorKind::Invalid, FailureReason::UnsupportedListing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(paging: Paging) -> Option<Capabilities> {
        Some(Capabilities { paging: Some(paging), ..Capabilities::default() })
    }

    #[test]
    fn a_cursor_with_a_token_says_how_the_listing_continues() {
        for (paging, token) in [(Paging::Token, "a:b::c"), (Paging::Marker, "images/1.jpg"), (Paging::Token, "")] {
            let mut place = Place::of(None, false, known(paging));
            place.count_page(2, 2).unwrap();
            let read = Place::of(Some(&place.cursor(token)), false, known(Paging::Key));
            assert_eq!((read.paging, read.token.as_deref(), read.pages), (paging, Some(token), 1));
        }
        for key in ["images/1.jpg", "m/\u{10FFFF}", ""] {
            assert!(Place::of(Some(key), false, known(Paging::Token)).is_ordered(), "{key:?}");
        }
        assert!(Place::of(None, true, known(Paging::Token)).is_ordered());
    }

    #[test]
    fn a_listing_that_repeats_itself_ends_and_one_that_resumes_does_not() {
        let mut place = Place::of(None, false, known(Paging::Token));
        for _ in 0..5 {
            place.count_page(10, 10).unwrap();
        }
        for _ in 0..7 {
            place.count_page(10, 0).unwrap();
        }
        place.count_page(10, 1).unwrap();
        for _ in 0..8 {
            place.count_page(10, 0).unwrap();
            place.count_page(0, 0).unwrap();
        }
        assert!(place.count_page(10, 0).is_err());
    }
}
