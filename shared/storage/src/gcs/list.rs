//! Reads a listing answer into a page of objects, and computes the cursor of the next page.
//!
//! The cursor is the last key of a page, sent as `startOffset`. A page token is valid for a few hours only; a key is
//! valid at any time and for any process. `startOffset` includes the key it names, so we request one more entry and
//! drop the first if it is that key.

use jiff::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::cloud::{LAST_CHAR, ListingAnswer, ListingError, ascends};
use crate::{ListPage, ObjectMeta};

/// The fields to request. Without access lists, answers have a fifth of the size.
pub(super) const FIELDS: &str = "kind,items(name,size,generation,updated),prefixes,nextPageToken";

/// The same fields for a single object.
pub(super) const OBJECT_FIELDS: &str = "name,size,generation,updated";

/// Cloud Storage's own limit for a page.
const LARGEST: u16 = 1_000;

/// The content of a listing's answer.
#[derive(Deserialize)]
pub(super) struct Listing {
    kind: Option<String>,
    #[serde(default)]
    items: Vec<Item>,
    #[serde(default)]
    prefixes: Vec<String>,
    #[serde(default, rename = "nextPageToken")]
    next_page_token: Option<String>,
}

/// An object's metadata.
#[derive(Deserialize)]
pub(super) struct Item {
    name: String,
    #[serde(default, deserialize_with = "number")]
    size: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    generation: Option<String>,
    #[serde(default, deserialize_with = "time")]
    updated: Option<Timestamp>,
}

/// Returns the size of a page, and the number of entries to request so that this many remain.
pub(super) fn limits(limit: u16, after: Option<&str>) -> (usize, usize) {
    let extra = u16::from(after.is_some());
    let limit = limit.clamp(1, LARGEST - extra);
    (usize::from(limit), usize::from(limit + extra))
}

/// Reads a whole answer.
pub(super) fn parse(body: &[u8]) -> Result<Listing, ListingError> {
    let listing: Listing = serde_json::from_slice(body)
        .map_err(|error| if error.is_eof() { ListingError::CutShort } else { ListingError::NotAListing })?;
    // Every field may be missing, so without this check any JSON object would look like an empty bucket.
    let is_listing = match listing.kind.as_deref() {
        Some(kind) => kind == "storage#objects",
        None => !(listing.items.is_empty() && listing.prefixes.is_empty()) || listing.next_page_token.is_some(),
    };
    if is_listing { Ok(listing) } else { Err(ListingError::NotAListing) }
}

impl Listing {
    /// Returns the page, with at most `limit` entries.
    ///
    /// `after` is the key after which the listing was requested to start.
    pub(super) fn into_page(mut self, after: Option<&str>, limit: usize) -> Result<ListingAnswer, ListingError> {
        if self.items.first().is_some_and(|first| Some(first.name.as_str()) == after) {
            self.items.remove(0);
        }
        let advances = ascends(after, self.items.iter().map(|item| item.name.as_str()))
            && ascends(None, self.prefixes.iter().map(String::as_str));
        if !advances {
            return Err(ListingError::DoesNotAdvance);
        }
        // This prefix was listed before. It comes again only if a key below it sorts after the cursor.
        if let Some(after) = after {
            self.prefixes.retain(|prefix| prefix.as_str() > after || !after.ends_with(LAST_CHAR));
        }
        let surplus = (self.items.len() + self.prefixes.len()).saturating_sub(limit);
        for _ in 0..surplus {
            if self.items.last().map(|item| &item.name) > self.prefixes.last() {
                self.items.pop();
            } else {
                self.prefixes.pop();
            }
        }
        let next = match (self.take_token(), surplus) {
            (None, 0) => None,
            (token, _) => match (self.last(), token) {
                (Some(last), _) if after.is_some_and(|after| last.as_str() <= after) => {
                    return Err(ListingError::DoesNotAdvance);
                }
                (Some(last), _) => Some(last),
                (None, Some(token)) => return Ok(ListingAnswer::More(token)),
                (None, None) => None,
            },
        };
        Ok(ListingAnswer::Page(self.page(next)))
    }

    /// The page as the server gave it, continued with its token.
    pub(super) fn into_followed_page(mut self) -> ListingAnswer {
        match self.take_token() {
            Some(token) if self.items.is_empty() && self.prefixes.is_empty() => ListingAnswer::More(token),
            next => ListingAnswer::Page(self.page(next)),
        }
    }

    /// The token of the next page. Some servers give an empty one with the last page.
    fn take_token(&mut self) -> Option<String> {
        self.next_page_token.take().filter(|token| !token.is_empty())
    }

    fn page(self, next: Option<String>) -> ListPage {
        let objects = self.items.into_iter().map(|item| ObjectMeta::from(item).into()).collect();
        ListPage { objects, prefixes: self.prefixes, next, ..ListPage::default() }
    }

    /// Where the next page starts: after the last key, or after everything below the last prefix.
    fn last(&self) -> Option<String> {
        let (item, prefix) = (self.items.last().map(|item| &item.name), self.prefixes.last());
        if prefix > item { prefix.map(|prefix| format!("{prefix}{LAST_CHAR}")) } else { item.cloned() }
    }
}

impl From<Item> for ObjectMeta {
    fn from(item: Item) -> Self {
        let (size, lacks_size) = (item.size.unwrap_or_default(), item.size.is_none());
        Self { key: item.name, size, lacks_size, etag: item.generation, modified_at: item.updated }
    }
}

/// A number or a text. Google writes 64-bit numbers as strings, others do not.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(u64),
    Text(String),
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Option::deserialize(deserializer)? {
        None => Ok(None),
        Some(Scalar::Number(number)) => Ok(Some(number)),
        Some(Scalar::Text(text)) => text.trim().parse().map(Some).map_err(D::Error::custom),
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(|scalar| match scalar {
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => text,
    }))
}

/// A time that cannot be read is as good as none.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests;
