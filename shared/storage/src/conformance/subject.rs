//! The storage under test, and the calls that the cases make on it.

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::{ListRequest, ObjectMeta, PutOptions, Storage};

/// A storage under test.
pub struct Subject<'a> {
    pub storage: &'a dyn Storage,
    /// Creates an object without the storage, if there is such a way.
    pub seed: Option<Seed<'a>>,
    /// Whether the server can hold this key at all; `|_| true` for a correct server.
    pub holds: fn(&str) -> bool,
}

/// Writes one object, given key and content.
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

    /// All pages of a listing. Checks that each page keeps the limit and, if the storage is ordered, the order.
    pub(super) async fn walk(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        limit: u16,
    ) -> (Vec<ObjectMeta>, Vec<String>) {
        let (mut objects, mut prefixes) = (Vec::<ObjectMeta>::new(), Vec::new());
        let mut cursor: Option<String> = None;
        loop {
            let request = ListRequest { prefix, delimiter, cursor: cursor.as_deref(), limit, ..ListRequest::default() };
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
