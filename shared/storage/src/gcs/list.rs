//! A page of objects: the answer read straight into what the caller gets, and the cursor that goes on.
//!
//! The cursor is the last key of a page, given back as `startOffset`. A page token would bind a job to
//! a few hours; a key is good at any time and for any process. `startOffset` includes the key it names, so
//! one more is asked for and the first is left out if it is that one.

use std::fmt;

use jiff::Timestamp;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::cloud::{LAST_CHAR, ListingAnswer, ListingError, ascends};
use crate::{ListPage, ObjectMeta};

/// What is asked for of each object: answers without access lists are a fifth of the size.
pub(super) const FIELDS: &str = "kind,items(name,size,generation,updated),prefixes,nextPageToken";

/// The same of a single object.
pub(super) const OBJECT_FIELDS: &str = "name,size,generation,updated";

/// More than Cloud Storage gives at once.
const LARGEST: u16 = 1_000;

/// What a listing's answer says.
#[derive(Deserialize)]
pub(super) struct Listing {
    kind: String,
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
    #[serde(deserialize_with = "number")]
    size: u64,
    generation: Option<String>,
    updated: Option<Timestamp>,
}

/// How many entries a page has, and how many are asked for so that as many remain.
pub(super) fn limits(limit: u16, after: Option<&str>) -> (usize, usize) {
    let extra = u16::from(after.is_some());
    let limit = limit.clamp(1, LARGEST - extra);
    (usize::from(limit), usize::from(limit + extra))
}

/// Reads a whole answer.
pub(super) fn parse(body: &[u8]) -> Result<Listing, ListingError> {
    let listing: Listing = serde_json::from_slice(body)
        .map_err(|error| if error.is_eof() { ListingError::CutShort } else { ListingError::NotAListing })?;
    // Every field but this one may be missing: any other JSON object would be an empty bucket.
    if listing.kind == "storage#objects" { Ok(listing) } else { Err(ListingError::NotAListing) }
}

impl Listing {
    /// The page as the caller gets it, with `limit` entries at most.
    ///
    /// `after` is the key that the listing had to start behind.
    pub(super) fn into_page(mut self, after: Option<&str>, limit: usize) -> Result<ListingAnswer, ListingError> {
        if self.items.first().is_some_and(|first| Some(first.name.as_str()) == after) {
            self.items.remove(0);
        }
        let advances = ascends(after, self.items.iter().map(|item| item.name.as_str()))
            && ascends(None, self.prefixes.iter().map(String::as_str));
        if !advances {
            return Err(ListingError::DoesNotAdvance);
        }
        // Listed before, and listed again only for a key below it that sorts behind even the cursor.
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
        let next = match (self.next_page_token.take(), surplus) {
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
        let objects = self.items.into_iter().map(|item| ObjectMeta::from(item).into()).collect();
        Ok(ListingAnswer::Page(ListPage { objects, prefixes: self.prefixes, next }))
    }

    /// Where the listing goes on: behind its last key, or behind everything below its last prefix.
    fn last(&self) -> Option<String> {
        let (item, prefix) = (self.items.last().map(|item| &item.name), self.prefixes.last());
        if prefix > item { prefix.map(|prefix| format!("{prefix}{LAST_CHAR}")) } else { item.cloned() }
    }
}

impl From<Item> for ObjectMeta {
    fn from(item: Item) -> Self {
        Self { key: item.name, size: item.size, etag: item.generation, modified_at: item.updated }
    }
}

/// Google writes 64-bit numbers as texts.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Number;
    impl Visitor<'_> for Number {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number or its digits")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }
    }
    deserializer.deserialize_any(Number)
}

#[cfg(test)]
mod tests;
