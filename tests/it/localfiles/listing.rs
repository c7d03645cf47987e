//! Listings of folders: every key once, in byte order, however names sort within folders.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use longshore_model::Secret;
use longshore_storage::conformance::{self, Subject};
use longshore_storage::{
    ListPage, ListRequest, ObjectBody, ObjectMeta, ObjectStream, Probe, PutOptions, Range, Storage, StorageError,
};

use super::Root;

/// A storage of local files whose keys are relative to its folder.
struct RelativeKeys {
    folder: String,
    inner: Arc<dyn Storage>,
}

impl RelativeKeys {
    fn whole(&self, key: &str) -> String {
        format!("{}{key}", self.folder)
    }

    fn part(&self, key: &str) -> String {
        key.strip_prefix(&self.folder).expect("keys lie in the folder").to_owned()
    }
}

#[async_trait]
impl Storage for RelativeKeys {
    async fn list_page(&self, request: ListRequest<'_>) -> Result<ListPage, StorageError> {
        let prefix = self.whole(request.prefix);
        let (after, cursor) = (request.after.map(|key| self.whole(key)), request.cursor.map(|key| self.whole(key)));
        let request = ListRequest { prefix: &prefix, after: after.as_deref(), cursor: cursor.as_deref(), ..request };
        let page = self.inner.list_page(request).await?;
        Ok(ListPage {
            objects: page
                .objects
                .into_iter()
                .map(|listed| ObjectMeta { key: self.part(listed.key()), ..listed.meta }.into())
                .collect(),
            prefixes: page.prefixes.iter().map(|prefix| self.part(prefix)).collect(),
            next: page.next.map(|next| self.part(&next)),
            ..ListPage::default()
        })
    }

    async fn get(&self, key: &str, range: Option<Range>, max_bytes: u64) -> Result<ObjectBody, StorageError> {
        self.inner.get(&self.whole(key), range, max_bytes).await
    }

    async fn stream(&self, key: &str, range: Option<Range>) -> Result<ObjectStream, StorageError> {
        self.inner.stream(&self.whole(key), range).await
    }

    async fn put(&self, key: &str, body: Bytes, options: &PutOptions) -> Result<Option<String>, StorageError> {
        self.inner.put(&self.whole(key), body, options).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.inner.delete(&self.whole(key)).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StorageError> {
        let object = self.inner.head(&self.whole(key)).await?;
        Ok(ObjectMeta { key: self.part(&object.key), ..object })
    }

    async fn probe(&self, probe: Probe) -> Result<(), StorageError> {
        self.inner.probe(probe).await
    }

    async fn presign(&self, key: &str, ttl: Duration) -> Result<Secret, StorageError> {
        self.inner.presign(&self.whole(key), ttl).await
    }

    fn uri(&self, key: &str) -> String {
        self.inner.uri(&self.whole(key))
    }
}

/// Names of files have 255 bytes at most and no `/`; a folder and a file cannot share one; `.` and
/// `..` are folders already.
fn holds(key: &str) -> bool {
    let names: Vec<&str> = key.split('/').collect();
    let is_beside_a_file = key == "conformance/text/ab/c";
    !is_beside_a_file && names.iter().all(|name| !matches!(*name, "" | "." | "..") && name.len() <= 255)
}

#[tokio::test(flavor = "multi_thread")]
async fn local_files_do_what_every_kind_does() {
    let root = Root::new();
    fs::create_dir(root.path("all")).expect("a folder");
    let storage = RelativeKeys { folder: root.path("all/"), inner: root.open("all") };
    conformance::all(&Subject { storage: &storage, seed: None, holds }).await;
}

/// All keys of a folder, in pages of this size, by one storage or by a new one for each page.
async fn keys(root: &Root, limit: u16, is_one: bool) -> Vec<String> {
    let (mut storage, prefix) = (root.open("tree"), root.path("tree/"));
    let (mut keys, mut cursor): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let request = ListRequest { prefix: &prefix, cursor: cursor.as_deref(), limit, ..ListRequest::default() };
        let page = storage.list_page(request).await.expect("a page");
        keys.extend(page.objects.into_iter().map(|listed| listed.meta.key[prefix.len()..].to_owned()));
        cursor = page.next;
        if cursor.is_none() {
            return keys;
        }
        if !is_one {
            storage = root.open("tree");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_sort_among_files_as_their_keys_do() {
    let root = Root::new();
    let mut names: Vec<String> =
        ["a", "a-b", "a.b/x", "a0", "a!/y/z", "b/1", "b/1-/k", "b/1.", "b-", "B/x", "é/ü", "z/z/z"]
            .map(str::to_owned)
            .into();
    names.extend((0..40).map(|n| format!("a-b-folder/{n}")));
    for name in &names {
        root.write(&format!("tree/{name}"), "x");
    }
    fs::create_dir(root.path("tree/empty")).expect("a folder");
    root.write("tree/.longshore-part-0123", "half");
    names.sort();
    for limit in [1, 2, 3, 7, 1_000] {
        for is_one in [true, false] {
            assert_eq!(keys(&root, limit, is_one).await, names, "pages of {limit}, one storage: {is_one}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_continues_while_files_are_created_and_removed() {
    let root = Root::new();
    for n in 0..50 {
        root.write(&format!("tree/{}/{n:02}", n / 10), "x");
    }
    let (storage, prefix) = (root.open("tree"), root.path("tree/"));
    let request = ListRequest { prefix: &prefix, limit: 15, ..ListRequest::default() };
    let first = storage.list_page(request).await.expect("a page");
    assert_eq!(first.objects.len(), 15);
    // The current and later folders are removed; a new folder takes the name of a file.
    fs::remove_dir_all(root.path("tree/1")).expect("it was there");
    fs::remove_dir_all(root.path("tree/3")).expect("it was there");
    fs::write(root.path("tree/3"), "a file now").expect("a file");
    let mut found = Vec::new();
    let mut cursor = first.next;
    while let Some(at) = cursor {
        let page = storage.list_page(ListRequest { cursor: Some(&at), ..request }).await.expect("a page");
        found.extend(page.objects.into_iter().map(|listed| listed.meta.key[prefix.len()..].to_owned()));
        cursor = page.next;
    }
    let stayed = (20..30).map(|n| format!("2/{n}")).chain((40..50).map(|n| format!("4/{n}")));
    assert!(stayed.clone().all(|key| found.contains(&key)), "{found:?}");
    assert!(found.is_sorted(), "{found:?}");
}
