//! The trait every kind of storage implements, and what its calls take and give.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use longshore_model::Secret;

use crate::{ListPage, ObjectMeta, StorageError};

/// One bucket, container or folder, ready to be asked.
///
/// Keys are exact: what a listing gives can be fetched, signed and deleted unchanged, byte for
/// byte. Calls may run at once. Short retries (seconds) happen inside; what comes out as
/// transient is for the caller's own back-off.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Lists one page, in ascending byte order of the keys.
    ///
    /// Every object that exists from before the first page until after the last is on exactly one
    /// page. `next` is opaque to the caller and stays valid across processes and days.
    async fn list_page(&self, request: ListRequest<'_>) -> Result<ListPage, StorageError>;

    /// Reads an object, or a range of it, refusing to hold more than `max_bytes`.
    async fn get(&self, key: &str, range: Option<Range>, max_bytes: u64) -> Result<ObjectBody, StorageError>;

    /// Reads an object, or a range of it, piece by piece, whatever its size.
    ///
    /// A range that begins behind the object's end fails with
    /// [`FailureReason::NoSuchRange`](longshore_model::FailureReason::NoSuchRange).
    async fn stream(&self, key: &str, range: Option<Range>) -> Result<ObjectStream, StorageError>;

    /// Writes an object, replacing what was there. On return it is durable; the etag is the storage's.
    async fn put(&self, key: &str, body: Bytes, options: &PutOptions) -> Result<Option<String>, StorageError>;

    /// Removes an object. One that is not there counts as removed.
    async fn delete(&self, key: &str) -> Result<(), StorageError>;

    /// What is known of an object without reading it.
    async fn head(&self, key: &str) -> Result<ObjectMeta, StorageError>;

    /// Checks that the connection, the credentials and the bucket are good for one way of use.
    async fn probe(&self, probe: Probe) -> Result<(), StorageError>;

    /// A URL that reads the object for `ttl` without further credentials. Makes no network call
    /// unless credentials have to be fetched first.
    async fn presign(&self, key: &str, ttl: Duration) -> Result<Secret, StorageError>;

    /// The URI by which a task names the object, such as `s3://bucket/key`.
    fn uri(&self, key: &str) -> String;

    /// Where the storage listens; `None` where no network lies between.
    fn endpoint(&self) -> Option<Endpoint> {
        None
    }

    /// Whether listings are in the order of their keys, pages after pages. Where they are not, a page
    /// may repeat keys of an earlier one and be somewhat longer than asked for, and a range of keys
    /// cannot be listed by itself.
    fn is_ordered(&self) -> bool {
        true
    }

    /// Whether a key range can be split at this key: true if listings up to it and after it hold just the keys that
    /// sort so by their bytes.
    fn can_split_at(&self, _key: &str) -> bool {
        self.is_ordered()
    }
}

/// Where a storage listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    pub is_encrypted: bool,
}

/// What to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListRequest<'a> {
    /// Only keys that start with this.
    pub prefix: &'a str,
    /// Rolls keys with this text after the prefix up into [`ListPage::prefixes`].
    pub delimiter: Option<&'a str>,
    /// Only keys after this one; used where there is no `cursor` yet.
    pub after: Option<&'a str>,
    /// The `next` of the page before.
    pub cursor: Option<&'a str>,
    /// At most this many keys and prefixes, 1 to 1,000; a storage may give fewer.
    pub limit: u16,
}

impl ListRequest<'_> {
    /// The text that the listing starts after.
    pub(crate) fn start(&self) -> Option<&str> {
        self.cursor.or(self.after).filter(|start| !start.is_empty())
    }
}

/// The bytes of an object and what came with them.
#[derive(Debug, Clone)]
pub struct ObjectBody {
    pub bytes: Bytes,
    pub etag: Option<String>,
    pub content_type: Option<String>,
}

/// An object on its way.
pub struct ObjectStream {
    /// Bytes of the whole object.
    pub size: u64,
    /// The part that comes, both ends included; `None` is the whole object.
    pub part: Option<(u64, u64)>,
    pub etag: Option<String>,
    pub content_type: Option<String>,
    /// How the bytes are packed, as the object is stored: who gets them has to unpack them.
    pub content_encoding: Option<String>,
    pub modified_at: Option<Timestamp>,
    /// The pieces, in order. One that fails is the last.
    pub body: BoxStream<'static, Result<Bytes, StorageError>>,
}

/// A byte range, both ends included; an open end reads to the last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub first: u64,
    pub last: Option<u64>,
}

/// How to write an object.
#[derive(Debug, Clone, Default)]
pub struct PutOptions {
    pub content_type: Option<&'static str>,
    /// Key id for server-side encryption (SSE-KMS on S3).
    pub kms_key_id: Option<String>,
}

/// The use that a connection check is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// List below this prefix.
    Read,
    /// Put and delete a small object below the prefix.
    Write,
}
