//! Makes a page of a listing that was read, and computes where the next page starts.

use super::list::Listing;
use crate::cloud::{LAST_CHAR, ListingAnswer, ListingError, ascends};
use crate::{ListPage, ListRequest, ListedObject};
use longshore_model::Paging;

impl Listing {
    /// Returns the page, or why the listing may be incomplete.
    pub(super) fn into_page(self, request: &ListRequest<'_>) -> Result<ListingAnswer, ListingError> {
        let is_truncated = self.is_truncated(request.limit);
        match request.paging {
            Paging::Key => self.ordered_page(request.start(), is_truncated),
            Paging::Token if is_truncated && self.token.is_none() => Err(ListingError::NoContinuation),
            Paging::Token => {
                let next = self.token.clone().filter(|_| is_truncated);
                Ok(self.followed_page(next))
            }
            Paging::Marker => {
                let next =
                    if is_truncated { Some(self.next_marker().ok_or(ListingError::NoContinuation)?) } else { None };
                Ok(self.followed_page(next))
            }
        }
    }

    /// Whether more follows. A server that does not say gives as many keys as it was asked for, or a token.
    fn is_truncated(&self, limit: u16) -> bool {
        let entries = self.objects.len() + self.prefixes.len();
        self.truncated
            .unwrap_or_else(|| self.token.is_some() || self.marker.is_some() || entries >= usize::from(limit.max(1)))
    }

    /// The text after which the first version of the listing continues. It names one only for listings with folders.
    pub(super) fn next_marker(&self) -> Option<String> {
        let last =
            || self.objects.last().map(|object| object.meta.key.clone()).or_else(|| self.prefixes.last().cloned());
        self.marker.clone().or_else(last)
    }

    fn followed_page(self, next: Option<String>) -> ListingAnswer {
        let is_empty = self.objects.is_empty() && self.prefixes.is_empty();
        match next {
            Some(token) if is_empty => ListingAnswer::More(token),
            next => {
                let (objects, prefixes) = (self.objects, self.prefixes);
                ListingAnswer::Page(ListPage { objects, prefixes, next, token: None, respelled: self.respelled })
            }
        }
    }

    /// The page of a listing in the order of the keys. The cursor is the last key: a token is valid for one server and a
    /// few hours only, a key at any time and for any process.
    fn ordered_page(mut self, after: Option<&str>, is_truncated: bool) -> Result<ListingAnswer, ListingError> {
        let last = self.objects.last().map(ListedObject::key).max(self.prefixes.last().map(String::as_str));
        let next = match (is_truncated, last) {
            (false, _) => None,
            // A server that has searched for a while answers with what it found.
            (true, None) => return self.token.map(ListingAnswer::More).ok_or(ListingError::EmptyPage),
            // After a prefix, the next page starts after everything below the prefix.
            (true, Some(last)) if self.prefixes.last().is_some_and(|prefix| prefix == last) => {
                Some(format!("{last}{LAST_CHAR}"))
            }
            (true, Some(last)) => Some(last.to_owned()),
        };
        if after.is_some() && self.objects.first().map(ListedObject::key) == after {
            return Err(ListingError::IncludesStart);
        }
        let advances = ascends(after, self.objects.iter().map(ListedObject::key))
            && ascends(None, self.prefixes.iter().map(String::as_str))
            && next.as_deref().is_none_or(|next| Some(next) > after);
        if !advances {
            return Err(ListingError::DoesNotAdvance);
        }
        // This prefix was listed before. It comes again only if a key below it sorts after the cursor.
        if let Some(after) = after {
            self.prefixes.retain(|prefix| prefix.as_str() > after || !after.ends_with(LAST_CHAR));
        }
        let token = self.token.filter(|_| next.is_some());
        let (objects, prefixes, respelled) = (self.objects, self.prefixes, self.respelled);
        Ok(ListingAnswer::Page(ListPage { objects, prefixes, next, token, respelled }))
    }
}
