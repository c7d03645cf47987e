//! A storage that is tried, and how the cases look at it.

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::{ListRequest, ObjectMeta, PutOptions, Storage};

/// A storage to be tried.
pub struct Subject<'a> {
    pub storage: &'a dyn Storage,
    /// Makes an object exist by other means than the storage, where there are any.
    pub seed: Option<Seed<'a>>,
    /// Whether the server behind can hold a key at all; `|_| true` for a good one.
    pub holds: fn(&str) -> bool,
}

/// Writes one object, key and content.
pub type Seed<'a> = &'a (dyn Fn(String, Bytes) -> BoxFuture<'a, ()> + Send + Sync);

impl Subject<'_> {
    pub(super) async fn make(&self, key: &str, content: &str) {
        let content = Bytes::copy_from_slice(content.as_bytes());
        match self.seed {
            Some(seed) => seed(key.to_owned(), content).await,
            None => {
                let put = self.storage.put(key, content, &PutOptions::default()).await;
                put.unwrap_or_else(|error| panic!("put of {key:?}: {error:?}"));
            }
        }
    }

    pub(super) async fn read(&self, key: &str) -> Bytes {
        let body = self.storage.get(key, None, 1 << 20).await;
        body.unwrap_or_else(|error| panic!("get of {key:?}: {error:?}")).bytes
    }

    pub(super) async fn keys(&self, prefix: &str, limit: u16) -> Vec<String> {
        self.walk(prefix, None, limit).await.0.into_iter().map(|object| object.key).collect()
    }

    /// All pages of a listing; checks that each one keeps to the limit and the order, if there is one.
    pub(super) async fn walk(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        limit: u16,
    ) -> (Vec<ObjectMeta>, Vec<String>) {
        let (mut objects, mut prefixes) = (Vec::<ObjectMeta>::new(), Vec::new());
        let mut cursor: Option<String> = None;
        loop {
            let request = ListRequest { prefix, delimiter, after: None, cursor: cursor.as_deref(), limit };
            let page = self.storage.list_page(request).await.unwrap_or_else(|error| panic!("list: {error:?}"));
            let listed = page.objects.len() + page.prefixes.len();
            objects.extend(page.objects.into_iter().map(|listed| listed.meta));
            prefixes.extend(page.prefixes);
            if self.storage.is_ordered() {
                assert!(listed <= usize::from(limit), "a page over its limit");
                assert!(objects.is_sorted_by(|a, b| a.key < b.key), "keys come in ascending order");
            }
            cursor = page.next;
            if cursor.is_none() {
                objects.sort_by(|a, b| a.key.cmp(&b.key));
                objects.dedup_by(|a, b| a.key == b.key);
                return (objects, prefixes);
            }
        }
    }
}
