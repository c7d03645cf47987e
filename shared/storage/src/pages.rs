//! The pages of a listing outside of a sync, in whatever way the store can be listed.

use std::collections::HashSet;

use longshore_model::{Capabilities, Paging};

use crate::{ListPage, ListRequest, Storage, StorageError};

/// Lists a storage page by page. A store that does not list in key order is followed with its tokens or markers.
#[derive(Debug)]
pub struct Pages {
    prefix: String,
    delimiter: Option<&'static str>,
    /// What the store can do. `None` before it was examined: not before it must be known to go on.
    capabilities: Option<Capabilities>,
    /// The keys of the first page, until the second one is requested. They come again if the listing begins again.
    first: HashSet<String>,
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
            cursor: None,
            token: None,
            state: State::Beginning,
        }
    }

    /// The next page, with up to 1,000 keys; `None` after the last. Each key comes once, unless the store itself repeats it.
    ///
    /// # Errors
    /// The listing fails, or it cannot be continued.
    pub async fn next(&mut self, storage: &dyn Storage) -> Result<Option<ListPage>, StorageError> {
        let page = match self.state {
            State::Ended => return Ok(None),
            State::Beginning => match self.list(storage).await {
                Err(error) if self.is_by_key() && error.is_out_of_order() => {
                    self.examine(storage).await?;
                    self.list(storage).await?
                }
                // A key may be misread.
                Ok(page) if page.respelled.is_some() => {
                    self.examine(storage).await?;
                    if self.style() == (Paging::Key, false) { page } else { self.list(storage).await? }
                }
                listed => listed?,
            },
            State::Inside => {
                // The server's own token leads on without a look.
                if self.capabilities.is_none() && storage.is_ordered() && self.token.is_none() {
                    self.examine(storage).await?;
                }
                let mut page = match self.list(storage).await {
                    // So far, the pages were in key order. The server's own token leads on in any order.
                    Err(error) if self.is_by_key() && error.is_out_of_order() && self.token.is_some() => {
                        let known = self.capabilities.unwrap_or_default();
                        self.capabilities = Some(Capabilities { paging: Some(Paging::Token), ..known });
                        self.cursor = self.token.take();
                        self.list(storage).await?
                    }
                    listed => listed?,
                };
                page.objects.retain(|listed| !self.first.contains(listed.key()));
                page
            }
        };
        if self.state == State::Beginning && page.next.is_some() {
            self.first = page.objects.iter().map(|listed| listed.key().to_owned()).collect();
        }
        self.state = if page.next.is_some() { State::Inside } else { State::Ended };
        self.cursor.clone_from(&page.next);
        self.token.clone_from(&page.token);
        Ok(Some(page))
    }

    /// Whether the listing may repeat keys, because it is not in key order.
    pub fn may_repeat(&self, storage: &dyn Storage) -> bool {
        !storage.is_ordered() || !self.is_by_key()
    }

    fn style(&self) -> (Paging, bool) {
        let known = self.capabilities.unwrap_or_default();
        (known.paging.unwrap_or_default(), known.raw_keys == Some(true))
    }

    fn is_by_key(&self) -> bool {
        self.style().0 == Paging::Key
    }

    /// Finds out how to go on. If not in key order, the listing begins again.
    async fn examine(&mut self, storage: &dyn Storage) -> Result<(), StorageError> {
        let before = self.style();
        self.capabilities = Some(storage.examine_listing(&self.prefix).await?);
        if self.style() != before {
            (self.cursor, self.token) = (None, None);
        }
        Ok(())
    }

    async fn list(&self, storage: &dyn Storage) -> Result<ListPage, StorageError> {
        let (paging, raw_keys) = self.style();
        let request = ListRequest {
            prefix: &self.prefix,
            delimiter: self.delimiter,
            cursor: self.cursor.as_deref(),
            token: self.token.as_deref(),
            limit: 1_000,
            paging,
            raw_keys,
            ..ListRequest::default()
        };
        storage.list_page(request).await
    }
}
