//! What an answer to a listing comes to, whatever its format.

use longshore_model::FailureReason;

use crate::{ErrorKind, ListPage, Op, StorageError};

/// What an answer comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ListingAnswer {
    Page(ListPage),
    /// Nothing here, but more under this token: a cloud stops looking after a while.
    More(String),
}

/// Why an answer is no listing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ListingError {
    #[error("the listing was cut short")]
    CutShort,
    #[error("the answer is not a listing")]
    NotAListing,
    #[error("the server says {0} in a listing's place")]
    Refused(String),
    #[error("the listing has no usable {0}")]
    Lacks(&'static str),
    #[error("the listing says it goes on but has no key to go on from")]
    EmptyPage,
    #[error("the listing does not advance: its keys are not in ascending order after where it should start")]
    DoesNotAdvance,
    #[error("the listing does not start where it should: the server does not know `startFrom`")]
    IgnoresStart,
}

impl From<ListingError> for StorageError {
    fn from(error: ListingError) -> Self {
        let (kind, reason) = match error {
            // The next try may bring the rest.
            ListingError::CutShort => (ErrorKind::Unavailable, FailureReason::Unavailable),
            ListingError::EmptyPage => (ErrorKind::Unavailable, FailureReason::BadAnswer),
            ListingError::NotAListing
            | ListingError::Refused(_)
            | ListingError::Lacks(_)
            | ListingError::DoesNotAdvance
            | ListingError::IgnoresStart => (ErrorKind::Invalid, FailureReason::BadAnswer),
        };
        Self::caused(Op::List, kind, reason, error)
    }
}

/// Sorts after every key below a prefix, since no character is greater; keys do not hold it. A cursor that ends with it
/// means "after all that starts like this".
pub(crate) const LAST_CHAR: char = '\u{10FFFF}';

/// An answer as text. One cut in the middle of a character is told from one of another kind.
pub(crate) fn listing_text(body: &[u8]) -> Result<&str, ListingError> {
    std::str::from_utf8(body).map_err(|error| match error.error_len() {
        None => ListingError::CutShort,
        Some(_) => ListingError::NotAListing,
    })
}

/// Whether each key is greater than the one before it, byte by byte, and the first greater than `after`.
pub(crate) fn ascends<'a>(after: Option<&'a str>, mut keys: impl Iterator<Item = &'a str>) -> bool {
    let mut before = after;
    keys.all(|key| Some(key) > before.replace(key))
}
