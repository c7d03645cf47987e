//! Answers whose bodies are passed on piece by piece instead of being held.

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use longshore_model::FailureReason;

use super::answer::http_date;
use super::body::{check_end, piece};
use super::range::ContentRange;
use super::{Answer, Call, Wire};
use crate::{ErrorKind, ObjectStream, Op, StorageError};

/// A successful answer whose body is still on its way.
pub(crate) struct Flow {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: BoxStream<'static, Result<Bytes, StorageError>>,
}

/// What came of a request for a stream.
enum Reply {
    Flows(Flow),
    Refused(Answer),
}

impl Wire {
    /// Makes a call whose answer's body is streamed. It is tried again until the head of a good answer
    /// is there; what happens to the body later is the reader's to handle, and counts for no limit.
    pub(crate) async fn stream<Fut>(
        &self,
        call: Call<'_>,
        prepare: impl Fn() -> Fut + Send + Sync,
        refused: impl Fn(&Answer) -> StorageError + Send + Sync,
    ) -> Result<Flow, StorageError>
    where
        Fut: Future<Output = Result<Request<Bytes>, StorageError>> + Send,
    {
        let read = |reply| match reply {
            Reply::Flows(flow) => Ok(flow),
            Reply::Refused(answer) => Err(refused(&answer)),
        };
        self.attempts(call, prepare, |response| self.flowing(call, response), read).await
    }

    async fn flowing(&self, call: Call<'_>, response: Response<Incoming>) -> Result<Reply, StorageError> {
        if !response.status().is_success() {
            return self.whole(call, response).await.map(Reply::Refused);
        }
        let (head, body) = response.into_parts();
        check_end(call.op, &head.headers)?;
        let (op, patience, metrics) = (call.op, self.timeouts.idle, self.metrics.clone());
        let body = stream::try_unfold(body, move |mut body| {
            let metrics = metrics.clone();
            async move {
                let piece = piece(op, &mut body, patience).await?;
                metrics.received(piece.as_ref().map_or(0, |piece| piece.len() as u64));
                Ok(piece.map(|piece| (piece, body)))
            }
        });
        Ok(Reply::Flows(Flow { status: head.status, headers: head.headers, body: body.boxed() }))
    }
}

impl Flow {
    /// The object on its way, as the usual headers tell of it; the etag is the kind's to read.
    ///
    /// # Errors
    /// The headers do not say how large the object is, or which part of it comes.
    pub(crate) fn object(self, etag: Option<String>) -> Result<ObjectStream, StorageError> {
        let (size, part) =
            self.extent().ok_or_else(|| StorageError::new(Op::Get, ErrorKind::Invalid, FailureReason::BadAnswer))?;
        Ok(ObjectStream {
            size,
            part,
            etag,
            content_type: self.header(header::CONTENT_TYPE).map(str::to_owned),
            content_encoding: self.header(header::CONTENT_ENCODING).map(str::to_owned),
            modified_at: self.header(header::LAST_MODIFIED).and_then(http_date),
            body: self.body,
        })
    }

    /// The size of the whole object, and the part that comes.
    fn extent(&self) -> Option<(u64, Option<(u64, u64)>)> {
        if self.status != StatusCode::PARTIAL_CONTENT {
            return Some((self.header(header::CONTENT_LENGTH)?.parse().ok()?, None));
        }
        let ContentRange { first, last, size } = ContentRange::parse(self.header(header::CONTENT_RANGE)?)?;
        Some((size, Some((first, last))))
    }

    /// A header as text, if it is there and is text.
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
