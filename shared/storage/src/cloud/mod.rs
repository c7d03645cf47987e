//! One client for S3, Google Cloud Storage and Azure Blob Storage.
//!
//! [`CloudStorage`] implements what the clouds have in common: it sends, retries with new credentials, reads,
//! streams, writes, deletes, pages through listings, and checks byte ranges. [`Cloud`] names what differs: addresses,
//! signatures, the format of listings, and the meaning of refusals.

mod client;
mod examine;
mod listing;
mod request;

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request, header};
use longshore_model::{Secret, StorageKind};

use crate::wire::{Answer, Wire};
use crate::{Endpoint, ListRequest, ObjectMeta, Op, PutOptions, StorageError};
pub(crate) use client::CloudStorage;
pub(crate) use listing::{LAST_CHAR, ListingAnswer, ListingError, ascends, listing_text};
pub(crate) use request::CloudRequest;

/// What differs between the clouds.
#[async_trait]
pub(crate) trait Cloud: Send + Sync {
    /// Whether the maker of the cloud documents that listings are in the order of UTF-8 bytes, wherever they begin.
    const ORDER_IS_DOCUMENTED: bool;

    /// Whether listings can be continued with a marker, as those of S3.
    const HAS_MARKERS: bool = false;

    /// What authorizes the tries of one call: a token, or a record of which credentials signed them.
    type Grant: Send + Sync;

    fn kind(&self) -> StorageKind;

    /// Host and port as in URIs and in the `Host` header. All requests to the same authority share a limit.
    fn authority(&self) -> &str;

    /// Host and port where the cloud listens.
    fn endpoint(&self) -> Endpoint;

    /// Fetches what authorizes a call. Runs before the call waits for its permit, because fetching may need a permit
    /// of the same endpoint.
    async fn grant(&self, wire: &Wire) -> Result<Self::Grant, StorageError>;

    /// Signs one try. Each try is signed again, because a signature is valid for a few minutes only.
    async fn authorize(&self, op: Op, request: &mut Request<Bytes>, grant: &Self::Grant) -> Result<(), StorageError>;

    /// Forgets credentials that were refused as expired. Returns whether others may be available, so that one more
    /// try is worthwhile.
    async fn renew(&self, grant: &Self::Grant) -> bool;

    /// Converts an unsuccessful answer into an error.
    fn refusal(&self, op: Op, answer: &Answer) -> StorageError;

    /// Builds the request of a call for a key. For a byte range, the caller adds the header.
    ///
    /// # Errors
    /// No bucket can have this key.
    fn request(&self, op: Op, key: &str) -> Result<CloudRequest, StorageError>;

    /// Changes a request so that the cloud sends the bytes as stored instead of decompressing them.
    fn as_stored(&self, request: CloudRequest) -> CloudRequest {
        request
    }

    /// Builds the request that writes an object; the caller adds the body.
    ///
    /// # Errors
    /// No bucket can have this key, or an option does not fit into a header.
    fn put_request(&self, key: &str, options: &PutOptions) -> Result<CloudRequest, StorageError>;

    /// Builds the request for a page of a listing, or for the rest of one under the token `more`. `None` if no key
    /// can follow. `request.cursor` is a key, never a token.
    fn list_request(&self, request: &ListRequest<'_>, more: Option<&str>)
    -> Result<Option<CloudRequest>, StorageError>;

    /// Takes note that a listing was answered.
    fn listing_answered(&self) {}

    /// Whether a listing that was refused like this is worth another try in another way, in which [`Cloud::list_request`]
    /// asks until [`Cloud::end_fallback`].
    fn begin_fallback(&self, _error: &StorageError) -> bool {
        false
    }

    /// Ends that try. `is_answered`: the other way is the right one; `None` if that is not known.
    fn end_fallback(&self, _is_answered: Option<bool>) {}

    /// Reads the answer to a [`Cloud::list_request`].
    ///
    /// # Errors
    /// The answer may not be a whole page.
    fn read_listing(&self, request: &ListRequest<'_>, answer: &Answer) -> Result<ListingAnswer, StorageError>;

    /// The etag among the headers of an answer.
    fn etag(&self, headers: &HeaderMap) -> Option<String> {
        headers.get(header::ETAG)?.to_str().ok().and_then(bare_etag)
    }

    /// The MD5 of an object's bytes among the headers of an answer that has all of them; `None` if it states none.
    fn md5(&self, headers: &HeaderMap) -> Option<[u8; 16]>;

    /// The size of the object as it is stored, if the answer has its bytes in another encoding.
    fn stored_size(&self, _answer: &Answer) -> Option<u64> {
        None
    }

    /// Reads the etag from the answer to a put.
    fn read_put(&self, answer: &Answer) -> Result<Option<String>, StorageError> {
        Ok(self.etag(&answer.headers))
    }

    /// Reads the answer to a head.
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

/// Removes the quotes of an etag: headers have them, some listings do not. Also the mark of a weak etag, which a proxy
/// may add.
pub(crate) fn bare_etag(text: &str) -> Option<String> {
    let text = text.trim();
    let bare = text.strip_prefix("W/").filter(|rest| rest.starts_with('"')).unwrap_or(text).trim_matches('"');
    (!bare.is_empty()).then(|| bare.to_owned())
}

/// Reads an MD5 from the text in headers of Azure and Google.
pub(crate) fn base64_md5(text: &str) -> Option<[u8; 16]> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}
