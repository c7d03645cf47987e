//! Answers whose bodies are streamed instead of collected.

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use longshore_model::FailureReason;

use super::answer::http_date;
use super::body::{check_end, read_piece};
use super::range::ContentRange;
use super::{Answer, Call, Wire};
use crate::{ErrorKind, ObjectStream, Op, StorageError};

/// A successful answer whose body is streamed.
pub(crate) struct Flow {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: BoxStream<'static, Result<Bytes, StorageError>>,
}

/// The answer to a request for a stream.
enum Reply {
    Flows(Flow),
    Refused(Answer),
}

impl Wire {
    /// Makes a call and streams the body of its answer. Retries until the head of a successful answer arrives. The
    /// reader handles failures of the body; they do not count for the endpoint's limit.
    pub(crate) async fn stream<Fut>(
        &self,
        call: Call<'_>,
        prepare: impl Fn() -> Fut + Send + Sync,
        refusal: impl Fn(&Answer) -> StorageError + Send + Sync,
    ) -> Result<Flow, StorageError>
    where
        Fut: Future<Output = Result<Request<Bytes>, StorageError>> + Send,
    {
        let read = |reply| match reply {
            Reply::Flows(flow) => Ok(flow),
            Reply::Refused(answer) => Err(refusal(&answer)),
        };
        self.send_with_retries(call, prepare, |response| self.read_reply(call, response), read).await
    }

    async fn read_reply(&self, call: Call<'_>, response: Response<Incoming>) -> Result<Reply, StorageError> {
        if !response.status().is_success() {
            return self.read_answer(call, response).await.map(Reply::Refused);
        }
        let (head, body) = response.into_parts();
        check_end(call.op, &head.headers)?;
        let (op, patience, metrics) = (call.op, self.timeouts.idle, self.metrics.clone());
        let body = stream::try_unfold(body, move |mut body| {
            let metrics = metrics.clone();
            async move {
                let piece = read_piece(op, &mut body, patience).await?;
                metrics.add_received(piece.as_ref().map_or(0, |piece| piece.len() as u64));
                Ok(piece.map(|piece| (piece, body)))
            }
        });
        Ok(Reply::Flows(Flow { status: head.status, headers: head.headers, body: body.boxed() }))
    }
}

impl Flow {
    /// Builds the object's stream from the common headers. The caller passes the etag, whose header depends on the
    /// kind.
    ///
    /// # Errors
    /// The headers do not state the object's size, or the range of a partial answer.
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

    /// The size of the whole object, and the byte range in a partial answer.
    fn extent(&self) -> Option<(u64, Option<(u64, u64)>)> {
        if self.status != StatusCode::PARTIAL_CONTENT {
            return Some((self.header(header::CONTENT_LENGTH)?.parse().ok()?, None));
        }
        let ContentRange { first, last, size } = ContentRange::parse(self.header(header::CONTENT_RANGE)?)?;
        Some((size, Some((first, last))))
    }

    /// A header as text. `None` if it is missing or not text.
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
