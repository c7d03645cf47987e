//! One client for S3, Google Cloud Storage and Azure Blob Storage.
//!
//! [`CloudStorage`] does once what the clouds have in common: it sends, retries with fresh credentials, reads, streams,
//! writes, deletes, pages through listings, and checks byte ranges. [`Cloud`] names what differs: addresses, signatures,
//! the format of listings, and what a refusal means.

mod client;
mod listing;
mod request;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, header};
use longshore_model::{Secret, StorageKind};

use crate::wire::{Answer, Wire};
use crate::{Endpoint, ListRequest, ObjectMeta, Op, PutOptions, StorageError};
pub(crate) use client::CloudStorage;
pub(crate) use listing::{LAST_CHAR, ListingAnswer, ListingError, ascends, listing_text};
pub(crate) use request::CloudRequest;

/// What is one cloud's own.
#[async_trait]
pub(crate) trait Cloud: Send + Sync {
    /// What authorizes the tries of one call: a token, or a note of which credentials signed them.
    type Grant: Send + Sync;

    fn kind(&self) -> StorageKind;

    /// Host and port as they stand in URIs and in the `Host` header. Requests to the same share a limit.
    fn authority(&self) -> &str;

    /// Where the cloud listens.
    fn endpoint(&self) -> Endpoint;

    /// Fetches what authorizes a call, before it waits for its permit: fetching may need a permit of the same endpoint.
    async fn grant(&self, wire: &Wire) -> Result<Self::Grant, StorageError>;

    /// Signs one try: signatures are good for some minutes.
    async fn authorize(&self, op: Op, request: &mut Request<Bytes>, grant: &Self::Grant) -> Result<(), StorageError>;

    /// Forgets credentials that were refused as expired. Whether others may be had, so that one more try is worth it.
    async fn renew(&self, grant: &Self::Grant) -> bool;

    /// What an answer other than a success means.
    fn refusal(&self, op: Op, answer: &Answer) -> StorageError;

    /// The request for a key that this call begins with. One for a byte range gets its header later.
    ///
    /// # Errors
    /// No bucket can have such a key.
    fn request(&self, op: Op, key: &str) -> Result<CloudRequest, StorageError>;

    /// Asks for the bytes as they are stored, where the cloud would unpack them on the way.
    fn as_stored(&self, request: CloudRequest) -> CloudRequest {
        request
    }

    /// The request that writes an object; its body is added later.
    ///
    /// # Errors
    /// No bucket can have such a key, or the options fit into no header.
    fn put_request(&self, key: &str, options: &PutOptions) -> Result<CloudRequest, StorageError>;

    /// The request for a page of a listing, or for what an answer left to come (`more`). `None` where no key can come.
    fn list_request(&self, request: &ListRequest<'_>, more: Option<&str>)
    -> Result<Option<CloudRequest>, StorageError>;

    /// Reads the answer to a [`Cloud::list_request`].
    ///
    /// # Errors
    /// It cannot be trusted to be a whole page.
    fn read_listing(&self, request: &ListRequest<'_>, answer: &Answer) -> Result<ListingAnswer, StorageError>;

    /// The etag among the headers of an answer.
    fn etag(&self, headers: &HeaderMap) -> Option<String> {
        headers.get(header::ETAG)?.to_str().ok().and_then(bare_etag)
    }

    /// The etag that the answer to a put tells.
    fn read_put(&self, answer: &Answer) -> Result<Option<String>, StorageError> {
        Ok(self.etag(&answer.headers))
    }

    /// What the answer to a head tells.
    fn read_head(&self, key: &str, answer: &Answer) -> Result<ObjectMeta, StorageError> {
        answer.object(key, self.etag(&answer.headers))
    }

    /// The encryption key that a probe writes with.
    fn kms_key_id(&self) -> Option<String> {
        None
    }

    /// As [`Storage::presign`](crate::Storage::presign).
    async fn presign(&self, key: &str, ttl: Duration) -> Result<Secret, StorageError>;

    /// As [`Storage::uri`](crate::Storage::uri).
    fn uri(&self, key: &str) -> String;

    /// As [`Storage::can_split_at`](crate::Storage::can_split_at).
    fn can_split_at(&self, _key: &str) -> bool {
        true
    }
}

/// An etag without its quotes, which some listings leave out and headers do not.
pub(crate) fn bare_etag(text: &str) -> Option<String> {
    let bare = text.trim().trim_matches('"');
    (!bare.is_empty()).then(|| bare.to_owned())
}
