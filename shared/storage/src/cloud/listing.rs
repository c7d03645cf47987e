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

impl ListingError {
    /// Whether an endpoint that gives such answers again and again is not a storage, or not one that Longshore supports.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::CutShort | Self::EmptyPage => false,
            Self::NotAListing | Self::Refused(_) | Self::Lacks(_) | Self::DoesNotAdvance | Self::IgnoresStart => true,
        }
    }
}

impl From<ListingError> for StorageError {
    /// The next try may return the page, because a proxy gave this answer, or one of several servers that differ. So
    /// each is retried; `ListingError::is_permanent` says what it means if it comes every time.
    fn from(error: ListingError) -> Self {
        let reason =
            if error == ListingError::CutShort { FailureReason::Unavailable } else { FailureReason::BadAnswer };
        Self::with_source(Op::List, ErrorKind::Unavailable, reason, error)
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
