//! The result of reading an answer to a listing, in any format.

use std::borrow::Cow;

use longshore_model::FailureReason;

use crate::{ErrorKind, ListPage, Op, StorageError};

/// What an answer contains.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ListingAnswer {
    Page(ListPage),
    /// No keys, but more may follow under this token: a cloud stops searching after a while.
    More(String),
}

impl ListingAnswer {
    /// The page; `None` for an answer without keys that is not the last.
    pub(crate) fn page(self) -> Option<ListPage> {
        match self {
            Self::Page(page) => Some(page),
            Self::More(_) => None,
        }
    }
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
    #[error("the listing begins with the key that it was to start after")]
    IncludesStart,
    #[error("the listing has more pages, and no token to continue with")]
    NoContinuation,
    #[error("the listing continues with a token of {0} bytes")]
    LongToken(usize),
    #[error("the listing has too many empty pages in a row")]
    EmptyPages,
    #[error("the listing comes back to a token that it gave before")]
    RepeatsToken,
    #[error("the listing hides the keys below folders, although all keys were asked for")]
    HidesKeys,
    #[error("the listing does not start at the requested key: the server does not support `startFrom`")]
    IgnoresStart,
}

impl ListingError {
    /// Whether an endpoint that gives such answers again and again is not a storage, or not one that Longshore supports.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::CutShort | Self::EmptyPage => false,
            Self::NotAListing
            | Self::Refused(_)
            | Self::Lacks(_)
            | Self::DoesNotAdvance
            | Self::NoContinuation
            | Self::LongToken(_)
            | Self::EmptyPages
            | Self::RepeatsToken
            | Self::HidesKeys
            | Self::IncludesStart
            | Self::IgnoresStart => true,
        }
    }

    /// Whether keys came in another order, or from another place, than was asked for. The listing may then be continued
    /// in another way.
    pub(crate) fn is_out_of_order(&self) -> bool {
        matches!(self, Self::DoesNotAdvance | Self::IncludesStart | Self::IgnoresStart)
    }
}

impl From<ListingError> for StorageError {
    /// The next try may return the page, because a proxy gave this answer, or one of several servers that differ. So
    /// most are retried; `ListingError::is_permanent` says what it means if it comes every time.
    fn from(error: ListingError) -> Self {
        let reason = match error {
            ListingError::CutShort => FailureReason::Unavailable,
            ListingError::NoContinuation
            | ListingError::LongToken(_)
            | ListingError::EmptyPages
            | ListingError::RepeatsToken
            | ListingError::HidesKeys => FailureReason::UnsupportedListing,
            _ => FailureReason::BadAnswer,
        };
        let is_final = reason == FailureReason::UnsupportedListing || error == ListingError::IncludesStart;
        let kind = if is_final { ErrorKind::Invalid } else { ErrorKind::Unavailable };
        Self::with_source(Op::List, kind, reason, error)
    }
}

/// Sorts after every key below a prefix, because no character is greater; keys do not contain it. A cursor that ends
/// with it means "after everything that starts like this".
pub(crate) const LAST_CHAR: char = '\u{10FFFF}';

/// Decodes an answer in UTF-8, in UTF-16, or in Latin-1 if it says so. An answer cut inside a character is `CutShort`, any
/// other invalid text is `NotAListing`.
pub(crate) fn listing_text(body: &[u8]) -> Result<Cow<'_, str>, ListingError> {
    /// The XML declaration is at the start.
    const DECLARATION_BYTES: usize = 200;
    match body {
        [0xff, 0xfe, text @ ..] => return utf_16(text, u16::from_le_bytes).map(Cow::Owned),
        [0xfe, 0xff, text @ ..] => return utf_16(text, u16::from_be_bytes).map(Cow::Owned),
        _ => {}
    }
    std::str::from_utf8(body).map(Cow::Borrowed).or_else(|error| {
        let start = body.get(..DECLARATION_BYTES).unwrap_or(body).to_ascii_lowercase();
        match error.error_len() {
            None => Err(ListingError::CutShort),
            // The first 256 characters of Unicode are those of Latin-1.
            Some(_) if start.windows(10).any(|text| text == b"iso-8859-1") => {
                Ok(Cow::Owned(body.iter().map(|byte| char::from(*byte)).collect()))
            }
            Some(_) => Err(ListingError::NotAListing),
        }
    })
}

fn utf_16(text: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, ListingError> {
    let (units, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(ListingError::CutShort);
    }
    let decoded: Result<String, _> = char::decode_utf16(units.iter().map(|bytes| unit(*bytes))).collect();
    decoded.map_err(|_| ListingError::NotAListing)
}

/// Whether each key is greater than the one before it, by bytes, and the first one greater than `after`.
pub(crate) fn ascends<'a>(after: Option<&'a str>, mut keys: impl Iterator<Item = &'a str>) -> bool {
    let mut before = after;
    keys.all(|key| Some(key) > before.replace(key))
}
