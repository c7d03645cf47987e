//! Makes a page of a listing that was read, and computes where the next page starts.

use super::list::Listing;
use crate::cloud::{LAST_CHAR, ListingAnswer, ListingError, ascends};
use crate::{ListPage, ListRequest, ListedObject};
use longshore_model::Paging;

impl Listing {
    /// Returns the page, or why the listing may be incomplete.
    pub(super) fn into_page(mut self, request: &ListRequest<'_>) -> Result<ListingAnswer, ListingError> {
        if request.delimiter.is_none() {
            self.check_folders()?;
        }
        let is_truncated = self.is_truncated(request.paging);
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

    /// Drops folders, which come although they were not asked for.
    ///
    /// # Errors
    /// They stand for keys that the page does not have.
    fn check_folders(&mut self) -> Result<(), ListingError> {
        let is_shown = |folder: &String| self.objects.iter().any(|object| object.key().starts_with(folder.as_str()));
        if !self.prefixes.iter().all(is_shown) {
            return Err(ListingError::HidesKeys);
        }
        self.prefixes.clear();
        Ok(())
    }

    /// Whether more follows. Of a server that does not say, only another request after the last key shows it; of one with
    /// tokens, the lack of a token does.
    fn is_truncated(&self, paging: Paging) -> bool {
        self.truncated.unwrap_or_else(|| match paging {
            Paging::Token => self.token.is_some(),
            Paging::Key | Paging::Marker => {
                self.token.is_some() || self.marker.is_some() || !(self.objects.is_empty() && self.prefixes.is_empty())
            }
        })
    }

    /// Whether the page may be the last one or not.
    fn is_end_unsaid(&self) -> bool {
        self.truncated.is_none() && self.token.is_none() && self.marker.is_none() && !self.objects.is_empty()
    }

    /// The text after which the first version of the listing continues. It names one only for listings with folders.
    pub(super) fn next_marker(&self) -> Option<String> {
        let last =
            || self.objects.last().map(|object| object.meta.key.clone()).or_else(|| self.prefixes.last().cloned());
        self.marker.clone().or_else(last)
    }

    fn followed_page(self, next: Option<String>) -> ListingAnswer {
        let is_empty = self.objects.is_empty() && self.prefixes.is_empty();
        let is_end_unsaid = self.is_end_unsaid();
        match next {
            Some(token) if is_empty => ListingAnswer::More(token),
            next => {
                let (objects, prefixes) = (self.objects, self.prefixes);
                let respelled = self.respelled;
                ListingAnswer::Page(ListPage { objects, prefixes, next, token: None, respelled, is_end_unsaid })
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
            (true, None) => return self.token.or(self.marker).map(ListingAnswer::More).ok_or(ListingError::EmptyPage),
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
        let is_end_unsaid = self.is_end_unsaid();
        let token = self.token.filter(|_| next.is_some());
        let (objects, prefixes, respelled) = (self.objects, self.prefixes, self.respelled);
        Ok(ListingAnswer::Page(ListPage { objects, prefixes, next, token, respelled, is_end_unsaid }))
    }
}
