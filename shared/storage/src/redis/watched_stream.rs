//! A stream that counts its bytes, so that a slow server can be distinguished from a silent one, and that ends when the
//! server sends more than it was asked for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::budget::AnswerBudget;
use super::guard::AnswerGuard;

/// What a connection and its stream share.
#[derive(Clone, Default)]
pub(super) struct Watch {
    /// Bytes sent and received.
    pub(super) moved: Arc<AtomicU64>,
    pub(super) budget: Arc<AnswerBudget>,
}

/// A stream that is watched.
pub(super) struct WatchedStream<S> {
    stream: S,
    watch: Watch,
    guard: AnswerGuard,
}

impl<S> WatchedStream<S> {
    pub(super) fn new(stream: S, watch: &Watch) -> Self {
        Self { stream, watch: watch.clone(), guard: AnswerGuard::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let received = &buf.filled()[before..];
        let Self { watch, guard, .. } = &mut *self;
        watch.moved.fetch_add(received.len() as u64, Ordering::Relaxed);
        match guard.read(received, &watch.budget) {
            Ok(()) => polled,
            Err(excess) => Poll::Ready(Err(io::Error::other(excess))),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &polled {
            self.watch.moved.fetch_add(*written as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
