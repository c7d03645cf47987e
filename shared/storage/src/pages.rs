//! The pages of a listing outside of a sync, in whatever way the store can be listed.

use std::collections::HashSet;

use longshore_model::{Capabilities, Paging};

use crate::circle::Circle;
use crate::cloud::ListingError;
use crate::{ListPage, ListRequest, Storage, StorageError};

/// Lists a storage page by page. A store that does not list in key order is followed with its tokens or markers.
#[derive(Debug)]
pub struct Pages {
    prefix: String,
    delimiter: Option<&'static str>,
    /// What the store can do. `None` before it was examined: not before it must be known to go on.
    capabilities: Option<Capabilities>,
    /// The keys of the first page. They come again if the listing begins again.
    first: HashSet<String>,
    /// The keys of the page before this one, if that is not the first.
    before: HashSet<String>,
    /// Whether the server sends keys as they are, as a key has shown.
    raw_keys: Option<bool>,
    /// Whether it was tried to find that out.
    is_spelling_examined: bool,
    circle: Circle,
    cursor: Option<String>,
    token: Option<String>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Beginning,
    Inside,
    Ended,
}

impl Pages {
    /// The pages below a prefix, with sub-folders rolled up at the delimiter.
    pub fn new(prefix: &str, delimiter: Option<&'static str>) -> Self {
        Self {
            prefix: prefix.to_owned(),
            delimiter,
            capabilities: None,
            first: HashSet::new(),
            before: HashSet::new(),
            raw_keys: None,
            is_spelling_examined: false,
            circle: Circle::default(),
            cursor: None,
            token: None,
            state: State::Beginning,
        }
    }

    /// The next page, with about 1,000 keys; `None` after the last. Each key comes once, unless the store itself repeats it.
    ///
    /// # Errors
    /// The listing fails, or it cannot be continued.
    pub async fn next(&mut self, storage: &dyn Storage) -> Result<Option<ListPage>, StorageError> {
        let mut page = match self.state {
            State::Ended => return Ok(None),
            State::Beginning => match self.list(storage).await {
                Err(error) if self.is_by_key() && error.is_out_of_order() => {
                    self.examine(storage).await?;
                    self.list(storage).await?
                }
                listed => listed?,
            },
            State::Inside => self.list_inside(storage).await?,
        };
        let is_known = self.raw_keys.is_some() || self.is_spelling_examined;
        if let Some(respelled) = page.respelled.as_ref().filter(|_| !is_known) {
            self.is_spelling_examined = true;
            self.raw_keys = storage.examine_spelling(respelled).await?;
            // Otherwise the page was read as the answer says.
            if self.raw_keys == Some(respelled.is_claimed) {
                page = self.list(storage).await?;
            }
        }
        let keys = page.objects.iter().map(|listed| listed.key().to_owned()).collect();
        page.objects.retain(|listed| !(self.first.contains(listed.key()) || self.before.contains(listed.key())));
        if self.state == State::Beginning && page.next.is_some() {
            self.first = keys;
        } else {
            self.before = keys;
        }
        if let Some(token) = page.next.as_ref().filter(|_| !self.is_by_key())
            && self.circle.is_closed_by(token)
        {
            return Err(ListingError::RepeatsToken.into());
        }
        self.state = if page.next.is_some() { State::Inside } else { State::Ended };
        self.cursor.clone_from(&page.next);
        self.token.clone_from(&page.token);
        Ok(Some(page))
    }

    async fn list_inside(&mut self, storage: &dyn Storage) -> Result<ListPage, StorageError> {
        // The server's own token leads on without a look.
        if self.capabilities.is_none() && storage.is_ordered() && self.token.is_none() {
            self.examine(storage).await?;
        }
        match self.list(storage).await {
            // So far, the pages were in key order. The server's own token leads on in any order; without one, only the
            // beginning does.
            Err(error) if self.is_by_key() && error.is_out_of_order() && (self.token.is_some() || self.is_second()) => {
                let known = self.capabilities.unwrap_or_default();
                self.capabilities = Some(Capabilities { paging: Some(Paging::Token), ..known });
                self.cursor = self.token.take();
                self.list(storage).await
            }
            listed => listed,
        }
    }

    /// Whether only the first page has been listed.
    fn is_second(&self) -> bool {
        self.before.is_empty()
    }

    /// Whether the listing may repeat keys, because it is not in key order.
    pub fn may_repeat(&self, storage: &dyn Storage) -> bool {
        !storage.is_ordered() || !self.is_by_key()
    }

    fn paging(&self) -> Paging {
        self.capabilities.unwrap_or_default().paging.unwrap_or_default()
    }

    fn is_by_key(&self) -> bool {
        self.paging() == Paging::Key
    }

    /// Finds out how to go on. If not in key order, the listing begins again.
    async fn examine(&mut self, storage: &dyn Storage) -> Result<(), StorageError> {
        let before = self.paging();
        let found = storage.examine_listing(&self.prefix).await?;
        self.capabilities = Some(found);
        self.raw_keys = self.raw_keys.or(found.raw_keys);
        if self.paging() != before {
            (self.cursor, self.token) = (None, None);
        }
        Ok(())
    }

    async fn list(&self, storage: &dyn Storage) -> Result<ListPage, StorageError> {
        let request = ListRequest {
            prefix: &self.prefix,
            delimiter: self.delimiter,
            cursor: self.cursor.as_deref(),
            token: self.token.as_deref(),
            limit: 1_000,
            paging: self.paging(),
            raw_keys: self.raw_keys,
            ..ListRequest::default()
        };
        storage.list_page(request).await
    }
}
