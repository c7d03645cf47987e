//! The stored objects: an ordered map per bucket.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::journal::{Change, Journal};
use super::object::Object;

type Bucket = BTreeMap<String, Object>;

/// Why a change by a test cannot fail: only `longshore-s3` has a journal, and its requests handle the failure.
const WRITTEN: &str = "the journal can be written";

/// A listing request, with the terms of `ListObjectsV2`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Query<'a> {
    pub(super) prefix: &'a str,
    pub(super) delimiter: Option<&'a str>,
    /// Only names after this one: keys and common prefixes.
    pub(super) after: Option<&'a str>,
    pub(super) limit: usize,
}

/// One page of a listing.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) objects: Vec<(String, Object)>,
    pub(super) common_prefixes: Vec<String>,
    /// The last name of the page; `None` on the last page.
    pub(super) next_after: Option<String>,
}

/// All buckets of a server.
#[derive(Default)]
pub struct Buckets {
    all: RwLock<BTreeMap<String, Bucket>>,
    /// Where changes are written before they are made; unset if the objects are only in memory.
    journal: OnceLock<Journal>,
}

impl Buckets {
    /// Creates a bucket; false if it existed.
    pub fn create(&self, bucket: &str) -> bool {
        self.try_create(bucket).expect(WRITTEN)
    }

    /// Creates a bucket; false if it existed.
    ///
    /// # Errors
    /// The journal cannot be written. Nothing is changed then, here and below.
    pub(super) fn try_create(&self, bucket: &str) -> io::Result<bool> {
        let mut buckets = self.write();
        let is_new = !buckets.contains_key(bucket);
        if is_new {
            self.note(Change::Create { bucket })?;
            buckets.insert(bucket.to_owned(), Bucket::default());
        }
        Ok(is_new)
    }

    /// Writes changes to this journal from now on.
    pub(super) fn attach(&self, journal: Journal) {
        self.journal.set(journal).ok();
    }

    /// Writes a change to the journal. The caller holds the lock, so that the journal has the order of the changes.
    fn note(&self, change: Change<'_>) -> io::Result<()> {
        self.journal.get().map_or(Ok(()), |journal| journal.append(change))
    }

    pub fn exists(&self, bucket: &str) -> bool {
        self.read().contains_key(bucket)
    }

    pub fn names(&self) -> Vec<String> {
        self.read().keys().cloned().collect()
    }

    /// Stores an object; creates the bucket if needed.
    pub fn put(&self, bucket: &str, key: &str, object: Object) {
        self.put_many(bucket, [(key.to_owned(), object)]);
    }

    pub fn put_many(&self, bucket: &str, objects: impl IntoIterator<Item = (String, Object)>) {
        self.try_put(bucket, objects).expect(WRITTEN);
    }

    /// Stores objects under one lock; creates the bucket if needed.
    pub(super) fn try_put(&self, bucket: &str, objects: impl IntoIterator<Item = (String, Object)>) -> io::Result<()> {
        let mut buckets = self.write();
        let stored = buckets.entry(bucket.to_owned()).or_default();
        for (key, object) in objects {
            self.note(Change::Put { bucket, key: &key, object: &object })?;
            stored.insert(key, object);
        }
        Ok(())
    }

    pub fn get(&self, bucket: &str, key: &str) -> Option<Object> {
        self.read().get(bucket)?.get(key).cloned()
    }

    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        self.try_remove(bucket, key).expect(WRITTEN)
    }

    pub(super) fn try_remove(&self, bucket: &str, key: &str) -> io::Result<bool> {
        let mut buckets = self.write();
        let Some(objects) = buckets.get_mut(bucket).filter(|objects| objects.contains_key(key)) else {
            return Ok(false);
        };
        self.note(Change::Remove { bucket, key })?;
        objects.remove(key);
        Ok(true)
    }

    pub fn objects(&self, bucket: &str) -> Vec<(String, String, Bytes)> {
        let buckets = self.read();
        let objects = buckets.get(bucket).into_iter().flatten();
        objects.map(|(key, object)| (key.clone(), object.etag(), object.bytes.clone())).collect()
    }

    /// Calls `visit` for every bucket, without a key, and for every object in the order of keys.
    pub(super) fn visit<E>(
        &self,
        mut visit: impl FnMut(&str, Option<(&str, &Object)>) -> Result<(), E>,
    ) -> Result<(), E> {
        for (bucket, objects) in self.read().iter() {
            visit(bucket, None)?;
            for (key, object) in objects {
                visit(bucket, Some((key, object)))?;
            }
        }
        Ok(())
    }

    /// One page of a listing; `None` if the bucket does not exist.
    ///
    /// Its cost depends only on the number of returned names: it skips the keys of a common prefix.
    pub(super) fn list(&self, bucket: &str, query: Query<'_>) -> Option<Listing> {
        let buckets = self.read();
        let bucket = buckets.get(bucket)?;
        let mut page = Listing::default();
        let mut last: Option<String> = None;
        let mut from = match query.after {
            Some(after) if after >= query.prefix => Bound::Excluded(after.to_owned()),
            _ => Bound::Included(query.prefix.to_owned()),
        };
        if query.limit == 0 {
            return Some(page);
        }

        'ranges: loop {
            for (key, object) in bucket.range::<str, _>((from.as_ref().map(String::as_str), Bound::Unbounded)) {
                let Some(rest) = key.strip_prefix(query.prefix) else { break 'ranges };
                let group = query.delimiter.and_then(|delimiter| {
                    let end = rest.find(delimiter)? + delimiter.len();
                    Some(&key[..query.prefix.len() + end])
                });
                // A group that began before `after` was on an earlier page.
                let is_listed = group.is_some_and(|group| query.after.is_some_and(|after| group <= after));
                if !is_listed {
                    if page.objects.len() + page.common_prefixes.len() == query.limit {
                        page.next_after = last;
                        break 'ranges;
                    }
                    last = Some(group.unwrap_or(key).to_owned());
                    match group {
                        Some(group) => page.common_prefixes.push(group.to_owned()),
                        None => page.objects.push((key.clone(), object.clone())),
                    }
                }
                if let Some(group) = group {
                    let Some(end) = end_of_prefix(group) else { break 'ranges };
                    from = Bound::Included(end);
                    continue 'ranges;
                }
            }
            break;
        }
        Some(page)
    }

    // Poisoning is harmless: no statement leaves the map half-updated.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Bucket>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Bucket>> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The smallest text after all texts that start with `prefix`.
///
/// It is the prefix with its last character replaced by the next one, because UTF-8 sorts as its characters do.
fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // A range of `char` skips the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}
