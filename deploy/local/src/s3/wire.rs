//! HTTP around the service: connections, and faults on the wire.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::service::S3Service;
use s3s::{Body, S3Error, S3ErrorCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::calls::Call;
use super::cors::Origin;
use super::rules::{Fault, Plan};
use super::{State, alteration};

/// An error that makes `hyper` drop the connection without sending another byte.
type Abort = Box<dyn Error + Send + Sync>;

/// Accepts connections until `stop`, which also ends every open connection.
pub(super) async fn accept(listener: TcpListener, layer: Layer, tasks: TaskTracker, stop: CancellationToken) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // The client disconnected before the server accepted it, or the process has no free file handles.
            Err(error) => {
                tracing::warn!(event = "s3_accept_failed", %error, "could not accept a connection");
                continue;
            }
        };
        let connection = serve(stream, layer.clone());
        let stop = stop.clone();
        tasks.spawn(async move { stop.run_until_cancelled(connection).await });
    }
}

async fn serve(stream: TcpStream, layer: Layer) {
    let reset = Arc::new(AtomicBool::new(false));
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(event = "s3_connection_closed", %error, "connection closed before the first request");
        return;
    }
    let connection = Connection { stream, reset: Arc::clone(&reset) };
    let service = service_fn(move |request| Box::pin(layer.clone().answer(request, Arc::clone(&reset))));
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await {
        tracing::debug!(event = "s3_connection_failed", %error, "connection ended early");
    }
}

/// The service together with the rules of a test.
#[derive(Clone)]
pub(super) struct Layer {
    service: S3Service,
    state: Arc<State>,
    latency: Duration,
}

impl Layer {
    pub(super) fn new(service: S3Service, state: Arc<State>, latency: Duration) -> Self {
        Self { service, state, latency }
    }

    async fn answer(self, request: Request<Incoming>, reset: Arc<AtomicBool>) -> Result<Response<Body>, Abort> {
        let origin = Origin::of(&request);
        if request.method() == Method::OPTIONS {
            return Ok(self.state.cors.preflight(origin.as_ref()));
        }
        let mut answer = self.handle(request, reset).await?;
        self.state.cors.mark(origin.as_ref(), answer.headers_mut());
        Ok(answer)
    }

    async fn handle(&self, request: Request<Incoming>, reset: Arc<AtomicBool>) -> Result<Response<Body>, Abort> {
        // Read the whole body first: an early refusal would close the connection in the middle of the upload.
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let call = Call::of(&head);
        let is_head = head.method == Method::HEAD;
        let plan = self.state.rules.plan(&call);
        let number = self.state.calls.record(call);

        let answer = self.perform(Request::from_parts(head, Body::from(body)), &plan).await?;
        if plan.fault == Some(Fault::Reset) {
            return reset_in_mid_body(answer, is_head, &reset).await;
        }
        let answer = alteration::apply(plan.fault.as_ref(), answer).await?;
        self.state.calls.record_status(number, answer.status().as_u16());
        Ok(answer)
    }

    async fn perform(&self, request: Request<Body>, plan: &Plan) -> Result<Response<Body>, Abort> {
        tokio::time::sleep(self.latency + plan.delay).await;
        for gate in &plan.holds {
            gate.pass().await;
        }
        for hook in &plan.hooks {
            hook(&self.state.buckets);
        }
        let answer = match &plan.fault {
            Some(Fault::Error(code)) => refusal(code.clone())?,
            Some(Fault::Page { content_type, body, etag }) => alteration::page(content_type, body, *etag),
            Some(Fault::SlowDown { retry_after_seconds }) => {
                let mut answer = refusal(S3ErrorCode::SlowDown)?;
                answer.headers_mut().insert(RETRY_AFTER, (*retry_after_seconds).into());
                answer
            }
            _ => self.service.call(request).await.map_err(Abort::from)?,
        };
        for gate in &plan.answer_holds {
            gate.pass().await;
        }
        Ok(answer)
    }
}

fn refusal(code: S3ErrorCode) -> Result<Response<Body>, Abort> {
    let message = format!("A test injected {}.", code.as_str());
    let mut error = S3Error::with_message(code, message);
    error.set_request_id("TESTREQUEST");
    Ok(error.to_http_response()?)
}

/// Sends the first half of the body with the length of the whole, then resets the connection.
///
/// `hyper` sends the half while the stream is pending; the error after it makes `hyper` drop the connection.
async fn reset_in_mid_body(answer: Response<Body>, is_head: bool, reset: &AtomicBool) -> Result<Response<Body>, Abort> {
    reset.store(true, Ordering::Relaxed);
    let (mut head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    let half = body.slice(..body.len() / 2);
    if is_head || half.is_empty() {
        return Err("injected reset".into());
    }
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let frames = stream::unfold(Some(half), |half| async {
        match half {
            Some(half) => Some((Ok(Frame::data(half)), None)),
            None => {
                tokio::task::yield_now().await;
                Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), None))
            }
        }
    });
    Ok(Response::from_parts(head, Body::http_body_unsync(StreamBody::new(frames))))
}

/// A connection that ends with a reset instead of a close if a fault requires it.
struct Connection {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed)
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(event = "s3_reset_failed", %error, "connection closed instead of reset");
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
