//! The calls of a storage, built on what a `Cloud` implements.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, header};
use longshore_model::{Capabilities, FailureReason, Paging, Secret};

use super::{Cloud, CloudRequest, ListingAnswer, ListingError};
use crate::circle::Circle;
use crate::wire::{Answer, Call, Wire, check_range, http_date, range_header};
use crate::{
    Endpoint, ErrorKind, ListPage, ListRequest, ObjectBody, ObjectMeta, ObjectStream, Op, Probe, PutOptions, Range,
    Respelled, Storage, StorageError, probe,
};

/// Empty pages that are followed for one with keys. AWS looks at a thousand deleted keys for each.
const MOST_EMPTY_PAGES: u32 = 100_000;

/// Bytes of the longest token that is kept. Those of known servers have a few kilobytes at most.
const LONGEST_TOKEN: usize = 16 * 1024;

/// One bucket of a cloud.
pub(crate) struct CloudStorage<C> {
    cloud: C,
    /// The prefix of listings: empty, or ends in `/`.
    prefix: String,
    wire: Arc<Wire>,
}

impl<C: Cloud> CloudStorage<C> {
    /// Makes no request yet.
    pub(crate) fn new(cloud: C, prefix: String, wire: Arc<Wire>) -> Self {
        Self { cloud, prefix, wire }
    }

    /// Sends a request until it succeeds or fails for good; `read` receives only successful answers.
    async fn send<T: Send>(
        &self,
        request: CloudRequest,
        read: impl Fn(&Answer) -> Result<T, StorageError> + Send + Sync,
    ) -> Result<T, StorageError> {
        let judge = |answer: Answer| {
            if answer.status.is_success() { read(&answer) } else { Err(self.cloud.refusal(request.op, &answer)) }
        };
        self.call_with_grant(|grant| {
            let (request, judge) = (&request, &judge);
            async move { self.wire.call(self.call(request), || self.sign(request, &grant), judge).await }
        })
        .await
    }

    /// Makes a call, and repeats it once with new credentials if the server refused the first ones as expired: they
    /// may have been revoked before their end, or the system clock may have stopped for a while.
    async fn call_with_grant<T: Send, Fut: Future<Output = Result<T, StorageError>> + Send>(
        &self,
        attempt: impl Fn(Arc<C::Grant>) -> Fut + Send + Sync,
    ) -> Result<T, StorageError> {
        let grant = Arc::new(self.cloud.grant(&self.wire).await?);
        match attempt(Arc::clone(&grant)).await {
            Err(error) if error.reason == FailureReason::ExpiredCredentials && self.cloud.renew(&grant).await => {
                attempt(Arc::new(self.cloud.grant(&self.wire).await?)).await
            }
            result => result,
        }
    }

    /// Lists a page, beginning with `token` if there is one. Requests again as long as a server gives no keys but says that
    /// more follow.
    async fn follow(&self, request: &ListRequest<'_>, token: Option<&str>) -> Result<ListPage, StorageError> {
        let mut token = token.map(str::to_owned);
        let mut circle = Circle::default();
        for _ in 0..MOST_EMPTY_PAGES {
            let Some(answer) = self.list(request, token.as_deref()).await? else { return Ok(ListPage::default()) };
            let (next, page) = match answer {
                ListingAnswer::Page(page) if request.paging == Paging::Key => return Ok(page),
                ListingAnswer::Page(page) => (page.next.clone(), Some(page)),
                ListingAnswer::More(next) => (Some(next), None),
            };
            match &next {
                Some(next) if next.len() > LONGEST_TOKEN || next.contains('\0') => {
                    return Err(ListingError::LongToken(next.len()).into());
                }
                Some(next) if Some(next) == token.as_ref() || circle.is_closed_by(next) => {
                    return Err(ListingError::RepeatsToken.into());
                }
                _ => {}
            }
            match page {
                Some(page) => return Ok(page),
                None => token = next,
            }
        }
        Err(ListingError::EmptyPages.into())
    }

    /// Sends one request of a listing. `None` if no key can follow.
    async fn list(
        &self,
        request: &ListRequest<'_>,
        token: Option<&str>,
    ) -> Result<Option<ListingAnswer>, StorageError> {
        let send = async || match self.cloud.list_request(request, token)? {
            Some(sent) => self.send(sent, |answer| self.cloud.read_listing(request, answer)).await.map(Some),
            None => Ok(None),
        };
        let answer = match send().await {
            Err(refused) if self.cloud.begin_fallback(&refused) => {
                let answer = send().await;
                let is_answered = match &answer {
                    Ok(_) => Some(true),
                    // The answer to another question may still be out of order.
                    Err(error) if error.cause::<ListingError>().is_some() => Some(true),
                    Err(error) if error.is_transient() => None,
                    Err(_) => Some(false),
                };
                self.cloud.end_fallback(is_answered);
                // Most servers understand the first request, so its refusal says more.
                if is_answered == Some(false) { Err(refused) } else { answer }
            }
            answer => {
                if answer.is_ok() {
                    self.cloud.listing_answered();
                }
                answer
            }
        };
        answer.map_err(given_up)
    }

    fn call(&self, request: &CloudRequest) -> Call<'_> {
        Call { kind: self.cloud.kind(), op: request.op, endpoint: self.cloud.authority(), max_bytes: request.max_bytes }
    }

    async fn sign(&self, request: &CloudRequest, grant: &C::Grant) -> Result<Request<Bytes>, StorageError> {
        let mut http = request.to_http(self.cloud.authority())?;
        self.cloud.authorize(request.op, &mut http, grant).await?;
        Ok(http)
    }

    fn body(&self, answer: &Answer) -> ObjectBody {
        let length = answer.body.len() as u64;
        ObjectBody {
            bytes: answer.body.clone(),
            stored_size: self.cloud.stored_size(answer).unwrap_or(length),
            etag: self.cloud.etag(&answer.headers),
            content_type: answer.header(header::CONTENT_TYPE).map(str::to_owned),
            content_encoding: answer.header(header::CONTENT_ENCODING).map(str::to_owned),
            modified_at: answer.header(header::LAST_MODIFIED).and_then(http_date),
            md5: self.cloud.md5(&answer.headers),
        }
    }

    async fn look_up_alone(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
        match self.head(key).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// A request for an object or for a byte range of it.
    fn get_request(&self, key: &str, range: Option<Range>) -> Result<CloudRequest, StorageError> {
        let request = self.cloud.request(Op::Get, key)?;
        Ok(match range {
            Some(range) => request.with(header::RANGE, range_header(range)),
            None => request,
        })
    }
}

#[async_trait]
impl<C: Cloud> Storage for CloudStorage<C> {
    async fn list_page(&self, request: ListRequest<'_>) -> Result<ListPage, StorageError> {
        if request.paging != Paging::Key {
            let token = request.cursor.filter(|token| !token.is_empty());
            return self.follow(&ListRequest { cursor: None, after: None, token: None, ..request }, token).await;
        }
        match self.follow(&request, request.token).await {
            // The server does not know the token any more: the cursor says the same. Of a server that lists out of order,
            // it would say something else.
            Err(error) if request.token.is_some() && error.kind == ErrorKind::Invalid && !error.is_out_of_order() => {
                self.follow(&request, None).await
            }
            result => result,
        }
    }

    fn has_pages(&self) -> bool {
        true
    }

    async fn examine_listing(&self, prefix: &str) -> Result<Capabilities, StorageError> {
        self.examine(prefix).await
    }

    async fn examine_spelling(&self, respelled: &Respelled) -> Result<Option<bool>, StorageError> {
        self.find_spelling(respelled).await
    }

    async fn get(&self, key: &str, range: Option<Range>, max_bytes: u64) -> Result<ObjectBody, StorageError> {
        let mut request = self.cloud.as_stored(self.get_request(key, range)?);
        request.max_bytes = max_bytes;
        self.send(request, |answer| {
            check_range(range, answer.status, answer.header(header::CONTENT_RANGE))?;
            Ok(self.body(answer))
        })
        .await
    }

    /// The check is part of the call, so that an answer which is not the object is retried like one that was cut short.
    async fn get_listed(&self, listed: &ObjectMeta, max_bytes: u64) -> Result<ObjectBody, StorageError> {
        let mut request = self.cloud.as_stored(self.get_request(&listed.key, None)?);
        request.max_bytes = max_bytes;
        self.send(request, |answer| self.body(answer).checked(listed)).await
    }

    /// Lists the key, because a proxy that answers requests for objects with its own pages may do so for `HEAD` too.
    async fn look_up(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
        let request = ListRequest { prefix: key, limit: 1, ..ListRequest::default() };
        match self.list_page(request).await {
            Ok(page) if page.objects.iter().any(|listed| listed.key() == key) => {
                Ok(page.objects.into_iter().map(|listed| listed.meta).find(|object| object.key == key))
            }
            // Perhaps it was sent in another spelling.
            Ok(page) if page.next.is_none() && page.respelled.is_none() => Ok(None),
            // In key order, a key is the first of all that start with it. The store may have another order.
            Ok(_) => self.look_up_alone(key).await,
            // The policy may allow only the listing of the storage's own prefix.
            Err(error) if error.kind == ErrorKind::Denied => self.look_up_alone(key).await,
            Err(error) => Err(error),
        }
    }

    async fn stream(&self, key: &str, range: Option<Range>) -> Result<ObjectStream, StorageError> {
        // If the cloud decompressed the object on the way, its length would be unknown and byte ranges impossible.
        let request = self.cloud.as_stored(self.get_request(key, range)?);
        let refusal_error = |answer: &Answer| self.cloud.refusal(Op::Get, answer);
        let flow = self
            .call_with_grant(|grant| {
                let (request, refusal_error) = (&request, &refusal_error);
                async move { self.wire.stream(self.call(request), || self.sign(request, &grant), refusal_error).await }
            })
            .await?;
        check_range(range, flow.status, flow.header(header::CONTENT_RANGE))?;
        let etag = self.cloud.etag(&flow.headers);
        flow.object(etag)
    }

    async fn put(&self, key: &str, body: Bytes, options: &PutOptions) -> Result<Option<String>, StorageError> {
        let mut request = self.cloud.put_request(key, options)?;
        request.body = body;
        self.send(request, |answer| self.cloud.read_put(answer)).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        match self.send(self.cloud.request(Op::Delete, key)?, |_| Ok(())).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StorageError> {
        self.send(self.cloud.request(Op::Head, key)?, |answer| self.cloud.read_head(key, answer)).await
    }

    async fn probe(&self, probe: Probe) -> Result<(), StorageError> {
        probe::by_calls(self, &self.prefix, self.cloud.kms_key_id(), probe).await
    }

    async fn presign(&self, key: &str, ttl: Duration) -> Result<Secret, StorageError> {
        self.cloud.presign(key, ttl).await
    }

    fn uri(&self, key: &str) -> String {
        self.cloud.uri(key)
    }

    fn endpoint(&self) -> Option<Endpoint> {
        Some(self.cloud.endpoint())
    }

    fn can_split_at(&self, key: &str) -> bool {
        self.cloud.can_split_at(key)
    }
}

/// The error after the last try of a listing: the endpoint does not answer like a storage, and will not later.
fn given_up(mut error: StorageError) -> StorageError {
    if error.cause::<ListingError>().is_some_and(ListingError::is_permanent) {
        error.kind = ErrorKind::Invalid;
    }
    error
}
