//! The result of reading an answer to a listing, in any format.

use longshore_model::FailureReason;

use crate::{ErrorKind, ListPage, Op, StorageError};

/// What an answer contains.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ListingAnswer {
    Page(ListPage),
    /// No keys, but more may follow under this token: a cloud stops searching after a while.
    More(String),
}

/// Why an answer cannot be used as a listing page.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ListingError {
    #[error("the listing was cut short")]
    CutShort,
    #[error("the answer is not a listing")]
    NotAListing,
    #[error("the server answered {0} instead of a listing")]
    Refused(String),
    #[error("the listing lacks a usable {0}")]
    Lacks(&'static str),
    #[error("the listing says that it continues but has no key to continue from")]
    EmptyPage,
    #[error("the listing does not advance: its keys are not in ascending order after the requested start")]
    DoesNotAdvance,
    #[error("the listing does not start at the requested key: the server does not support `startFrom`")]
    IgnoresStart,
}

impl From<ListingError> for StorageError {
    fn from(error: ListingError) -> Self {
        let (kind, reason) = match error {
            // The next try may return the whole listing.
            ListingError::CutShort => (ErrorKind::Unavailable, FailureReason::Unavailable),
            ListingError::EmptyPage => (ErrorKind::Unavailable, FailureReason::BadAnswer),
            ListingError::NotAListing
            | ListingError::Refused(_)
            | ListingError::Lacks(_)
            | ListingError::DoesNotAdvance
            | ListingError::IgnoresStart => (ErrorKind::Invalid, FailureReason::BadAnswer),
        };
        Self::with_source(Op::List, kind, reason, error)
    }
}

/// Sorts after every key below a prefix, because no character is greater; keys do not contain it. A cursor that ends
/// with it means "after everything that starts like this".
pub(crate) const LAST_CHAR: char = '\u{10FFFF}';

/// Decodes an answer as UTF-8. An answer cut inside a character is `CutShort`, any other invalid text is
/// `NotAListing`.
pub(crate) fn listing_text(body: &[u8]) -> Result<&str, ListingError> {
    std::str::from_utf8(body).map_err(|error| match error.error_len() {
        None => ListingError::CutShort,
        Some(_) => ListingError::NotAListing,
    })
}

/// Whether each key is greater than the one before it, by bytes, and the first one greater than `after`.
pub(crate) fn ascends<'a>(after: Option<&'a str>, mut keys: impl Iterator<Item = &'a str>) -> bool {
    let mut before = after;
    keys.all(|key| Some(key) > before.replace(key))
}
