//! The stored objects: an ordered map per bucket.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use s3s::crypto::{Checksum, Md5};

type Bucket = BTreeMap<String, Object>;

/// One stored object.
#[derive(Debug, Clone)]
pub struct Object {
    pub bytes: Bytes,
    pub content_type: Option<String>,
    /// `Content-Encoding`, as the writer sent it.
    pub content_encoding: Option<String>,
    /// `x-amz-server-side-encryption`, as the writer sent it.
    pub encryption: Option<String>,
    /// `x-amz-server-side-encryption-aws-kms-key-id`, as the writer sent it.
    pub kms_key_id: Option<String>,
    /// Unix time in whole seconds, the resolution of S3.
    pub modified: u64,
    md5: [u8; 16],
}

impl Object {
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        // A clock before 1970 gives 0; it is wrong anyway.
        let modified = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let md5 = Md5::checksum(&bytes);
        Self { bytes, content_type: None, content_encoding: None, encryption: None, kms_key_id: None, modified, md5 }
    }

    /// The MD5 of the content in hex, without quotes: the `ETag` that AWS gives to a single-part upload.
    pub fn etag(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.md5))
    }
}

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
pub struct Buckets(RwLock<BTreeMap<String, Bucket>>);

impl Buckets {
    /// Creates a bucket; false if it existed.
    pub fn create(&self, bucket: &str) -> bool {
        let mut buckets = self.write();
        let is_new = !buckets.contains_key(bucket);
        buckets.entry(bucket.to_owned()).or_default();
        is_new
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
        self.write().entry(bucket.to_owned()).or_default().extend(objects);
    }

    pub fn get(&self, bucket: &str, key: &str) -> Option<Object> {
        self.read().get(bucket)?.get(key).cloned()
    }

    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        self.write().get_mut(bucket).is_some_and(|bucket| bucket.remove(key).is_some())
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
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Bucket>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
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
