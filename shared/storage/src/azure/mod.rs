//! Azure Blob Storage and its emulators.

mod account;
mod container;
mod failure;
mod list;
mod sign;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use jiff::Timestamp;
use longshore_model::{AzureConnection, AzureSecrets, FailureReason, Paging, Secret, StorageKind};

#[cfg(feature = "conformance")]
use crate::ListPage;
use crate::cloud::{Cloud, CloudRequest, CloudStorage, ListingAnswer, base64_md5};
use crate::wire::{Answer, Wire};
use crate::{Endpoint, ErrorKind, InvalidSetting, ListRequest, Op, Operator, PutOptions, StorageError};
use account::Account;
use container::Container;
use list::Start;

/// Reads an answer to `List Blobs` as the client does, for tests with answers that no real server gives.
#[cfg(feature = "conformance")]
pub fn read_azure_listing(body: &[u8]) -> Option<ListPage> {
    let (page, _) = list::parse(body).and_then(|listing| listing.into_page(&Start::after(None, "", None))).ok()?;
    Some(page)
}

/// Bytes that metadata may add to a page of a listing: up to 8 KiB for each of 1,000 blobs, and as much for tags.
const METADATA_BYTES: u64 = 16 * 1024 * 1024;

/// One container.
pub(crate) struct Azure {
    container: Container,
    account: Account,
    /// Whether a listing has shown that names are ordered folder by folder.
    is_hierarchical: AtomicBool,
}

/// Checks the settings as far as possible without a request and without the account.
pub(crate) fn check(connection: &AzureConnection) -> Result<(), InvalidSetting> {
    Container::new(connection, "anyaccount", None).map(drop)
}

impl Azure {
    /// Opens a container; makes no request yet.
    pub(crate) fn open(
        connection: &AzureConnection,
        prefix: String,
        secrets: &AzureSecrets,
        operator: &Operator,
        wire: Arc<Wire>,
    ) -> Result<CloudStorage<Self>, InvalidSetting> {
        let account = Account::of(connection, secrets, operator)?;
        let container = Container::new(connection, &account.name, operator.azure_endpoint.as_deref())?;
        Ok(CloudStorage::new(Self { container, account, is_hierarchical: AtomicBool::new(false) }, prefix, wire))
    }
}

#[async_trait]
impl Cloud for Azure {
    const ORDER_IS_DOCUMENTED: bool = true;

    /// Requests are signed with the account's key, which does not change.
    type Grant = ();

    fn kind(&self) -> StorageKind {
        StorageKind::Azure
    }

    fn authority(&self) -> &str {
        self.container.base.authority()
    }

    fn endpoint(&self) -> Endpoint {
        self.container.base.endpoint()
    }

    async fn grant(&self, _: &Wire) -> Result<(), StorageError> {
        Ok(())
    }

    async fn authorize(&self, op: Op, request: &mut Request<Bytes>, (): &()) -> Result<(), StorageError> {
        sign::headers(request, &self.account, Timestamp::now())
            .map_err(|error| StorageError::with_source(op, ErrorKind::Invalid, FailureReason::Internal, error))
    }

    async fn renew(&self, (): &()) -> bool {
        false
    }

    fn refusal(&self, op: Op, answer: &Answer) -> StorageError {
        failure::refusal_error(op, answer)
    }

    fn request(&self, op: Op, key: &str) -> Result<CloudRequest, StorageError> {
        let uri = self.container.object(key);
        match op {
            Op::Put => CloudRequest::new(op, Method::PUT, uri),
            Op::Head => CloudRequest::new(op, Method::HEAD, uri),
            Op::Delete => {
                // Without this header, Azure refuses to delete a blob that has snapshots.
                let snapshots = HeaderName::from_static("x-ms-delete-snapshots");
                Ok(CloudRequest::new(op, Method::DELETE, uri)?.with(snapshots, HeaderValue::from_static("include")))
            }
            Op::Connect | Op::List | Op::Get | Op::Presign => CloudRequest::new(op, Method::GET, uri),
        }
    }

    fn put_request(&self, key: &str, options: &PutOptions) -> Result<CloudRequest, StorageError> {
        let kind = HeaderName::from_static("x-ms-blob-type");
        let request = self.request(Op::Put, key)?.with(kind, HeaderValue::from_static("BlockBlob"));
        Ok(match options.content_type {
            Some(content_type) => request.with(header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
            None => request,
        })
    }

    fn list_request(
        &self,
        request: &ListRequest<'_>,
        more: Option<&str>,
    ) -> Result<Option<CloudRequest>, StorageError> {
        let start = start_of(request);
        let limit = request.limit.clamp(1, 1_000).to_string();
        let mut parameters = vec![("restype", "container"), ("comp", "list"), ("maxresults", limit.as_str())];
        // It says which blobs stand for folders.
        parameters.push(("include", "metadata"));
        parameters.extend((!request.prefix.is_empty()).then_some(("prefix", request.prefix)));
        parameters.extend(request.delimiter.map(|delimiter| ("delimiter", delimiter)));
        match &start {
            Start::Beginning => {}
            Start::From { name, .. } => parameters.push(("startFrom", name)),
            Start::End => return Ok(None),
        }
        parameters.extend(more.map(|marker| ("marker", marker)));
        let mut request = CloudRequest::new(Op::List, Method::GET, self.container.query(&parameters))?;
        request.max_bytes += METADATA_BYTES;
        Ok(Some(request))
    }

    fn read_listing(&self, request: &ListRequest<'_>, answer: &Answer) -> Result<ListingAnswer, StorageError> {
        let listing = list::parse(&answer.body)?;
        self.is_hierarchical.fetch_or(listing.is_hierarchical, Ordering::Relaxed);
        if request.paging != Paging::Key {
            return Ok(listing.into_followed_page());
        }
        // Azure may answer with an empty page and a marker. A page that contains only the start also becomes empty.
        Ok(match listing.into_page(&start_of(request))? {
            (_, Some(marker)) => ListingAnswer::More(marker),
            (page, None) => ListingAnswer::Page(page),
        })
    }

    fn md5(&self, headers: &HeaderMap) -> Option<[u8; 16]> {
        base64_md5(headers.get("content-md5")?.to_str().ok()?)
    }

    async fn presign(&self, key: &str, ttl: Duration) -> Result<Secret, StorageError> {
        let refusal_error = |reason| StorageError::new(Op::Presign, ErrorKind::Invalid, reason);
        if !sign::is_unambiguous(key) {
            // The proxy streams such an object instead.
            return Err(refusal_error(FailureReason::NoSignedUrls));
        }
        let ttl = ttl.max(Duration::from_secs(1));
        sign::url(&self.container, &self.account, key, ttl, Timestamp::now())
            .map(Secret::new)
            .ok_or_else(|| refusal_error(FailureReason::InvalidSettings))
    }

    fn uri(&self, key: &str) -> String {
        format!("azure-blob://{}/{key}", self.container.name)
    }

    fn can_split_at(&self, key: &str) -> bool {
        !self.is_hierarchical.load(Ordering::Relaxed) && list::is_unambiguous(key)
    }
}

fn start_of(request: &ListRequest<'_>) -> Start {
    Start::after(request.cursor.or(request.after), request.prefix, request.delimiter)
}
