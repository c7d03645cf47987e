//! A storage whose errors speak of its kind: each keeps the connection that it came from, so that every place that shows
//! one says "container", "folder" or "server", and names the server's code.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use longshore_model::{Capabilities, Connection, Secret};

use crate::{
    Endpoint, ListPage, ListRequest, ObjectBody, ObjectMeta, ObjectStream, Probe, PutOptions, Range, Respelled,
    Storage, StorageError,
};

/// Passes every call on, and adds the connection to errors.
pub(crate) struct Explained {
    storage: Arc<dyn Storage>,
    connection: Arc<Connection>,
}

impl Explained {
    pub(crate) fn new(storage: Arc<dyn Storage>, connection: Arc<Connection>) -> Self {
        Self { storage, connection }
    }

    fn explained<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        result.map_err(|error| error.of(&self.connection))
    }
}

#[async_trait]
impl Storage for Explained {
    async fn list_page(&self, request: ListRequest<'_>) -> Result<ListPage, StorageError> {
        self.explained(self.storage.list_page(request).await)
    }

    async fn get(&self, key: &str, range: Option<Range>, max_bytes: u64) -> Result<ObjectBody, StorageError> {
        self.explained(self.storage.get(key, range, max_bytes).await)
    }

    async fn get_listed(&self, listed: &ObjectMeta, max_bytes: u64) -> Result<ObjectBody, StorageError> {
        self.explained(self.storage.get_listed(listed, max_bytes).await)
    }

    async fn look_up(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
        self.explained(self.storage.look_up(key).await)
    }

    async fn stream(&self, key: &str, range: Option<Range>) -> Result<ObjectStream, StorageError> {
        self.explained(self.storage.stream(key, range).await)
    }

    async fn put(&self, key: &str, body: Bytes, options: &PutOptions) -> Result<Option<String>, StorageError> {
        self.explained(self.storage.put(key, body, options).await)
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.explained(self.storage.delete(key).await)
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StorageError> {
        self.explained(self.storage.head(key).await)
    }

    async fn probe(&self, probe: Probe) -> Result<(), StorageError> {
        self.explained(self.storage.probe(probe).await)
    }

    fn has_pages(&self) -> bool {
        self.storage.has_pages()
    }

    async fn examine_listing(&self, prefix: &str) -> Result<Capabilities, StorageError> {
        self.explained(self.storage.examine_listing(prefix).await)
    }

    async fn examine_spelling(&self, respelled: &Respelled) -> Result<Option<bool>, StorageError> {
        self.explained(self.storage.examine_spelling(respelled).await)
    }

    async fn presign(&self, key: &str, ttl: Duration) -> Result<Secret, StorageError> {
        self.explained(self.storage.presign(key, ttl).await)
    }

    fn uri(&self, key: &str) -> String {
        self.storage.uri(key)
    }

    fn endpoint(&self) -> Option<Endpoint> {
        self.storage.endpoint()
    }

    async fn databases(&self) -> Result<Vec<(u16, u64)>, StorageError> {
        self.explained(self.storage.databases().await)
    }

    fn is_ordered(&self) -> bool {
        self.storage.is_ordered()
    }

    fn can_split_at(&self, key: &str) -> bool {
        self.storage.can_split_at(key)
    }
}

#[cfg(test)]
mod tests {
    /// Goal: no call ends at a default of the trait in place of the storage. Method: the names in both sources.
    #[test]
    fn every_call_is_passed_on() {
        let methods = |source: &'static str, begin: &str| {
            let (_, text) = source.split_once(begin).unwrap();
            let text = text.split_once("\n}").unwrap().0;
            text.split("fn ").skip(1).map(|rest| rest.split_once('(').unwrap().0).collect::<Vec<_>>()
        };
        let all = methods(include_str!("storage.rs"), "pub trait Storage");
        assert!(all.len() > 15 && all.contains(&"examine_spelling"), "{all:?}");
        assert_eq!(methods(include_str!("explained.rs"), "impl Storage for Explained"), all);
    }
}
