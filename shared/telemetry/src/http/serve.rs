//! Serves a router on a listener.

use crate::error_chain;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use futures::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::accept::Acceptor;
use super::clients::{ClientConnection, ClientConnections};
use super::phase::{Phase, PhaseSocket, Progress};
use super::sent::keep_until_sent;
use crate::send_timeout::SendTimeoutStream;

/// Largest head of a request, and buffer of one socket, in bytes.
///
/// Heads of browsers and proxies stay below 16 KiB, and a URL with the longest key below 8 KiB. If it is higher,
/// clients without a token could fill the memory with heads: each socket may hold this much.
pub const LARGEST_HEAD: usize = 32 * 1024;

/// Serves until cancelled, then lets the requests in progress finish.
///
/// `clients` limits the sockets; [`ClientConnection::hold`] says which of them may be closed early. A client that
/// reads almost nothing of its answer for as long as `send` is disconnected.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    clients: ClientConnections,
    send: Duration,
    cancel: CancellationToken,
) {
    let (sockets, graceful) = (TaskTracker::new(), GracefulShutdown::new());
    let mut accept = Acceptor::new(listener, clients);
    while let Some((stream, client)) = cancel.run_until_cancelled(accept.next()).await {
        sockets.spawn(serve_client(
            SendTimeoutStream::new(stream, send),
            client,
            accept.clients.clone(),
            router.clone(),
            &graceful,
        ));
    }
    drop(accept);
    graceful.shutdown().await;
}

/// Serves one client until it disconnects, takes too long, or another client needs its socket.
fn serve_client(
    stream: SendTimeoutStream<TcpStream>,
    client: ClientConnection,
    clients: ClientConnections,
    router: Router,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + use<> {
    let progress = Progress::default();
    let service = service_fn({
        let (progress, client) = (progress.clone(), client.clone());
        move |request| answer(router.clone(), request, client.clone(), &progress)
    });
    let io = TokioIo::new(PhaseSocket::new(stream, progress.clone()));
    // The phases limit the time for a head, so hyper need not.
    let http = http1::Builder::new().max_buf_size(LARGEST_HEAD).header_read_timeout(None).serve_connection(io, service);
    let http = graceful.watch(http);
    async move {
        let mut http = pin!(http);
        let mut deadline = pin!(sleep_until(Instant::now()));
        let (mut seen, mut limit) = (None, None);
        let serving = poll_fn(|cx| {
            if let Poll::Ready(ended) = http.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            let (phase, change) = progress.now();
            if seen.replace(change) != Some(change) {
                limit = phase.limit(clients.is_nearly_full());
                if let Some(limit) = limit {
                    deadline.as_mut().reset(Instant::now() + limit);
                }
            }
            if limit.is_some() && deadline.as_mut().poll(cx).is_ready() {
                if phase == Phase::Head {
                    clients.metrics().slow.inc();
                }
                return Poll::Ready(Ok(()));
            }
            Poll::Pending
        });
        tokio::select! {
            ended = serving => {
                if let Err(error) = ended {
                    tracing::trace!(event = "client_ended_early", error = error_chain(&error), "socket ended early");
                }
            }
            () = client.wait_closed() => {}
        }
    }
}

/// Answers one request. The socket becomes idle when the answer is sent.
fn answer(
    mut router: Router,
    mut request: Request<Incoming>,
    client: ClientConnection,
    progress: &Progress,
) -> impl Future<Output = Result<Response, Infallible>> + Send + use<> {
    let answering = progress.begin_answer();
    request.extensions_mut().insert(client);
    router.call(request).map(|answer| answer.map(|answer| answer.map(|body| keep_until_sent(body, answering))))
}

#[cfg(test)]
mod tests;
