//! Finds out what the listings of a server can do.
//!
//! A compatible server may list keys in any order, include the key in `start-after` or ignore it, or support only the
//! first version of the listing. Only what a probe has shown is relied on.

use longshore_model::{Capabilities, FailureReason, KeyOrder, Paging, StartAfter};

use super::{Cloud, CloudStorage, ListingError, ascends};
use crate::{ErrorKind, ListPage, ListRequest, ListedObject, Range, Respelled, Storage, StorageError};

/// Keys on the first page: as many as a sync asks for, because some servers call each shorter page the last.
const PAGE: u16 = 1_000;

/// So few keys may be in order by chance.
const FEW: usize = 3;

impl<C: Cloud> CloudStorage<C> {
    /// As [`Storage::examine_listing`].
    pub(super) async fn examine(&self, prefix: &str) -> Result<Capabilities, StorageError> {
        if C::ORDER_IS_DOCUMENTED {
            return self.examine_start(prefix).await;
        }
        let request = ListRequest { prefix, limit: PAGE, paging: Paging::Token, ..ListRequest::default() };
        let (first, is_followed) = match self.list_page(request).await {
            Ok(page) => (page, true),
            // Neither a token nor an end: the keys may still say how to go on.
            Err(error) if is_without_continuation(&error) => {
                (self.list_page(ListRequest { paging: Paging::Marker, ..request }).await?, false)
            }
            Err(error) => return Err(error),
        };
        let raw_keys = match &first.respelled {
            Some(respelled) => self.find_spelling(respelled).await?,
            None => None,
        };
        let mut found = Capabilities { raw_keys, ..Capabilities::default() };
        let is_paged = first.next.is_some() || first.is_end_unsaid;
        let keys: Vec<&str> = first.objects.iter().map(ListedObject::key).collect();
        if !ascends(None, keys.iter().copied()) {
            found.order = Some(KeyOrder::Other);
        } else if keys.len() >= FEW {
            found.order = Some(KeyOrder::Bytes);
            // Where all keys fit on one page, nothing is ever started after a key.
            if is_paged {
                found.start_after = self.examine_start_after(prefix, &keys).await?;
            }
        }
        if found.start_after == Some(StartAfter::Strict) {
            found.paging = Some(Paging::Key);
        } else if is_paged {
            found.paging = match self.examine_continuation(request, &first, is_followed).await {
                // All keys are on one page, and the server does not say so.
                Err(error) if first.next.is_none() && is_without_continuation(&error) => None,
                continuation => Some(continuation?),
            };
        }
        Ok(found)
    }

    /// Whether the server goes on after the first page where it is told to, in an order that its maker documents.
    async fn examine_start(&self, prefix: &str) -> Result<Capabilities, StorageError> {
        let request = ListRequest { prefix, limit: PAGE, ..ListRequest::default() };
        let in_order = async {
            let first = self.list_page(request).await?;
            let Some(next) = first.next.as_deref() else { return Ok(None) };
            self.list_page(ListRequest { cursor: Some(next), limit: 1, ..request }).await.map(Some)
        };
        let (order, start_after, paging) = match in_order.await {
            Ok(None) => (None, None, None),
            Ok(Some(_)) => (Some(KeyOrder::Bytes), Some(StartAfter::Strict), Some(Paging::Key)),
            Err(error) if error.is_out_of_order() => {
                let request = ListRequest { paging: Paging::Token, ..request };
                let first = self.list_page(request).await?;
                let paging = match first.next {
                    None => None,
                    Some(_) => Some(self.examine_continuation(request, &first, true).await?),
                };
                (None, Some(StartAfter::Ignored), paging)
            }
            Err(error) => return Err(error),
        };
        Ok(Capabilities { paging, order, start_after, raw_keys: None })
    }

    /// Asks for what follows a key in the middle of the page, and a text that is no key.
    async fn examine_start_after(&self, prefix: &str, keys: &[&str]) -> Result<Option<StartAfter>, StorageError> {
        let half = keys.len() / 2;
        let (Some(middle), Some(next)) = (keys.get(half).copied(), keys.get(half + 1).copied()) else {
            return Ok(None);
        };
        let mut shorter = next.to_owned();
        shorter.pop();
        for after in [middle, shorter.as_str()] {
            // A text outside of the prefix is of no use to a sync, and some servers have no answer to it.
            if !after.starts_with(prefix) || after.is_empty() {
                continue;
            }
            let expected = keys.get(keys.partition_point(|key| *key <= after)).copied();
            let request = ListRequest { prefix, limit: 2, after: Some(after), ..ListRequest::default() };
            match self.list_page(request).await {
                Ok(page) if page.objects.first().map(ListedObject::key) == expected => {}
                Ok(_) => return Ok(Some(StartAfter::Ignored)),
                Err(error) if matches!(error.cause(), Some(ListingError::IncludesStart)) => {
                    return Ok(Some(StartAfter::Inclusive));
                }
                Err(error) if error.is_out_of_order() => return Ok(Some(StartAfter::Ignored)),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(StartAfter::Strict))
    }

    /// Which continuation leads to other keys than those of the first page.
    async fn examine_continuation(
        &self,
        request: ListRequest<'_>,
        first: &ListPage,
        is_followed: bool,
    ) -> Result<Paging, StorageError> {
        let begins_like_first =
            |page: &ListPage| page.objects.first().is_some_and(|object| first.objects.contains(object));
        for paging in [Paging::Token, Paging::Marker] {
            let request = ListRequest { paging, ..request };
            let next = match paging {
                Paging::Token if is_followed => first.next.clone(),
                Paging::Marker if C::HAS_MARKERS => self.list_page(request).await?.next,
                Paging::Key | Paging::Token | Paging::Marker => None,
            };
            let Some(next) = next else { continue };
            match self.list_page(ListRequest { cursor: Some(&next), ..request }).await {
                // A marker may be listed again.
                Ok(page) if paging == Paging::Marker && page.objects.len() > 1 => {
                    let rest = ListPage { objects: page.objects.into_iter().skip(1).collect(), ..ListPage::default() };
                    if !begins_like_first(&rest) {
                        return Ok(paging);
                    }
                }
                Ok(page) if !begins_like_first(&page) => return Ok(paging),
                Ok(_) => {}
                Err(error) if error.cause::<ListingError>().is_some() => {}
                Err(error) => return Err(error),
            }
        }
        Err(ListingError::NoContinuation.into())
    }

    /// Whether a key has the spelling in which it was sent: the object is under one of both.
    pub(super) async fn find_spelling(&self, respelled: &Respelled) -> Result<Option<bool>, StorageError> {
        let Respelled { sent, decoded, is_claimed } = respelled;
        let mut spellings = [(sent, true), (decoded, false)];
        if *is_claimed {
            spellings.reverse();
        }
        for (key, is_raw) in spellings {
            match self.is_stored(key).await {
                Ok(true) => return Ok(Some(is_raw)),
                Ok(false) => {}
                Err(error) if error.is_transient() => return Err(error),
                // Without the right to read, nothing is shown.
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Whether an object is stored under a key.
    async fn is_stored(&self, key: &str) -> Result<bool, StorageError> {
        let found = match self.head(key).await {
            // Some servers do not know this method.
            Err(error) if error.kind == ErrorKind::Invalid => {
                let first_byte = Range { first: 0, last: Some(0) };
                match self.get(key, Some(first_byte), 1).await {
                    // The object is empty, or the server gives all of it.
                    Err(error) if is_beyond_range(error.reason) => return Ok(true),
                    read => read.map(drop),
                }
            }
            found => found.map(drop),
        };
        match found {
            Ok(()) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn is_beyond_range(reason: FailureReason) -> bool {
    matches!(reason, FailureReason::NoSuchRange | FailureReason::BadAnswer | FailureReason::TooLarge)
}

fn is_without_continuation(error: &StorageError) -> bool {
    matches!(error.cause::<ListingError>(), Some(ListingError::NoContinuation))
}
