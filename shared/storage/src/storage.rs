//! The trait that every kind of storage implements, and the types of its calls.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use longshore_model::{Capabilities, Paging, Secret};

use crate::{ErrorKind, ListPage, ObjectBody, ObjectMeta, Respelled, StorageError};

/// One bucket, container, folder or Redis database that has been opened.
///
/// Keys are exact bytes: a listed key can be read, signed and deleted unchanged. Calls may run concurrently. Short
/// retries (seconds) happen inside; the caller handles a transient error with its own backoff.
///
/// # Errors
/// Every call fails with a [`StorageError`], whose `kind` says what the caller can do.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Lists one page, in ascending byte order of the keys.
    ///
    /// Every object that exists during the whole listing is on exactly one page. `next` is opaque to the caller and
    /// stays valid across processes and days.
    async fn list_page(&self, request: ListRequest<'_>) -> Result<ListPage, StorageError>;

    /// Reads an object as it is stored, or a byte range of it. More than `max_bytes` bytes fail with
    /// [`FailureReason::TooLarge`](longshore_model::FailureReason::TooLarge).
    async fn get(&self, key: &str, range: Option<Range>, max_bytes: u64) -> Result<ObjectBody, StorageError>;

    /// Reads a listed object as it is stored, and checks the answer against the listing.
    ///
    /// An answer of another version than the listed one is returned: see [`ObjectBody::is_listed`].
    ///
    /// # Errors
    /// [`FailureReason::ContentMismatch`](longshore_model::FailureReason::ContentMismatch) if the answer is not the
    /// object: a proxy's error page, or a part of the object.
    async fn get_listed(&self, listed: &ObjectMeta, max_bytes: u64) -> Result<ObjectBody, StorageError> {
        self.get(&listed.key, None, max_bytes).await?.checked(listed)
    }

    /// Reads what a listing says about one key now; `None` if nothing is stored under it.
    async fn look_up(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
        match self.head(key).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads an object of any size, or a byte range of it, as a stream.
    ///
    /// A range that begins past the object's end fails with
    /// [`FailureReason::NoSuchRange`](longshore_model::FailureReason::NoSuchRange).
    async fn stream(&self, key: &str, range: Option<Range>) -> Result<ObjectStream, StorageError>;

    /// Writes an object and replaces an existing one. It is durable when this returns. Returns the storage's etag, if
    /// the storage returns one.
    async fn put(&self, key: &str, body: Bytes, options: &PutOptions) -> Result<Option<String>, StorageError>;

    /// Deletes an object. Deleting a missing object succeeds.
    async fn delete(&self, key: &str) -> Result<(), StorageError>;

    /// Reads an object's metadata.
    async fn head(&self, key: &str) -> Result<ObjectMeta, StorageError>;

    /// Checks that connection, credentials and bucket work for one use.
    async fn probe(&self, probe: Probe) -> Result<(), StorageError>;

    /// Whether a server decides how listings are divided into pages. [`Self::examine_listing`] then finds out how they continue.
    fn has_pages(&self) -> bool {
        false
    }

    /// Finds out what listings below a prefix can do, with a handful of requests.
    ///
    /// # Errors
    /// The listing fails, or a listing of more than one page cannot be continued:
    /// [`FailureReason::UnsupportedListing`](longshore_model::FailureReason::UnsupportedListing).
    async fn examine_listing(&self, _prefix: &str) -> Result<Capabilities, StorageError> {
        Ok(Capabilities::default())
    }

    /// Finds out whether the server sends keys as they are (`true`) or encoded, by the object under such a key. `None` if
    /// that shows nothing.
    ///
    /// # Errors
    /// The server does not answer.
    async fn examine_spelling(&self, _respelled: &Respelled) -> Result<Option<bool>, StorageError> {
        Ok(None)
    }

    /// A URL that reads the object for `ttl` without other credentials. Makes no request, unless credentials must be
    /// fetched first.
    async fn presign(&self, key: &str, ttl: Duration) -> Result<Secret, StorageError>;

    /// The URI that names the object in task data, such as `s3://bucket/key`.
    fn uri(&self, key: &str) -> String;

    /// Host and port where the storage listens; `None` if it does not use a network.
    fn endpoint(&self) -> Option<Endpoint> {
        None
    }

    /// The databases of the server that hold keys, each with its number of keys. Empty if the kind has none, or the server does
    /// not tell.
    async fn databases(&self) -> Result<Vec<(u16, u64)>, StorageError> {
        Ok(Vec::new())
    }

    /// Whether listings are in key order, across pages. If not, a page may repeat keys of an earlier page and exceed
    /// the limit a little, and a key range cannot be listed separately.
    fn is_ordered(&self) -> bool {
        true
    }

    /// Whether a key range can be split at `key`: true if listings are in byte order around it.
    fn can_split_at(&self, _key: &str) -> bool {
        self.is_ordered()
    }
}

/// Host and port where a storage listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or an IP address, without brackets.
    pub host: String,
    pub port: u16,
    pub is_encrypted: bool,
}

/// Parameters of a listing.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListRequest<'a> {
    /// Only keys that start with this.
    pub prefix: &'a str,
    /// Rolls keys with this text after the prefix up into [`ListPage::prefixes`].
    pub delimiter: Option<&'a str>,
    /// Only keys after this one; ignored if there is a `cursor`.
    pub after: Option<&'a str>,
    /// The `next` of the previous page.
    pub cursor: Option<&'a str>,
    /// The `token` of the previous page, if this process listed it just now. Saves a server the search for the cursor;
    /// tokens are valid for one server and a few hours only.
    pub token: Option<&'a str>,
    /// How the listing is continued. Only with [`Paging::Key`], listings are in key order and begin at `after`.
    pub paging: Paging,
    /// Whether the server sends keys as they are, whatever it says, or encoded. `None` if its answers say so.
    pub raw_keys: Option<bool>,
    /// The most keys and prefixes together, 1 to 1,000; a storage may return fewer.
    pub limit: u16,
}

impl ListRequest<'_> {
    /// The text that the listing starts after.
    pub(crate) fn start(&self) -> Option<&str> {
        self.cursor.or(self.after).filter(|start| !start.is_empty())
    }
}

/// An object that is being streamed.
pub struct ObjectStream {
    /// Size of the whole object, in bytes.
    pub size: u64,
    /// First and last byte of the requested range, both included; `None` for the whole object.
    pub part: Option<(u64, u64)>,
    pub etag: Option<String>,
    pub content_type: Option<String>,
    /// The encoding in which the object is stored, such as `gzip`; the receiver has to decode it.
    pub content_encoding: Option<String>,
    pub modified_at: Option<Timestamp>,
    /// The pieces, in order. The stream ends after an error.
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
    /// Key ID for server-side encryption (SSE-KMS on S3, Cloud KMS on Google Cloud).
    pub kms_key_id: Option<String>,
}

/// What a probe checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Lists below the storage's prefix.
    Read,
    /// Puts and deletes a small object below the prefix.
    Write,
}
