//! What a client's socket waits for, and how long it may.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a client may send nothing between two requests. Longer than the minute for which load balancers
/// keep their sockets: if they close first, no request of theirs meets a closed socket. Much longer, and sockets
/// without use would pile up.
const IDLE: Duration = Duration::from_secs(75);

/// How long the head of a request may take from its first byte. A head is a few kilobytes, seconds on the
/// slowest line; longer would let clients that send a byte now and then hold sockets.
const HEAD: Duration = Duration::from_secs(10);

/// The same when the listener is nearly full. Shorter would close lines that are only slow.
const IDLE_WHEN_NEARLY_FULL: Duration = Duration::from_secs(5);
const HEAD_WHEN_NEARLY_FULL: Duration = Duration::from_secs(3);

/// What a socket waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of its head.
    Head,
    /// Nothing: a request is being answered, and the handler bounds its time.
    Serving,
}

impl Phase {
    /// How long it may last; `None` is as long as it takes.
    pub(super) fn limit(self, is_nearly_full: bool) -> Option<Duration> {
        match (self, is_nearly_full) {
            (Self::Idle, false) => Some(IDLE),
            (Self::Idle, true) => Some(IDLE_WHEN_NEARLY_FULL),
            (Self::Head, false) => Some(HEAD),
            (Self::Head, true) => Some(HEAD_WHEN_NEARLY_FULL),
            (Self::Serving, _) => None,
        }
    }
}

/// The phase of one socket, with a number that grows with every change. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    /// The phase, and the number of its change.
    pub(super) fn now(&self) -> (Phase, u64) {
        let change = self.0.load(Ordering::Relaxed);
        let phase = match change % 3 {
            0 => Phase::Idle,
            1 => Phase::Head,
            _ => Phase::Serving,
        };
        (phase, change)
    }

    /// Goes to a phase; the phases follow each other, and one may be passed over.
    pub(super) fn set(&self, phase: Phase) {
        let (_, change) = self.now();
        let start = change - change % 3;
        let next = match phase {
            Phase::Idle => start + 3,
            Phase::Head => start + 1,
            Phase::Serving => start + 2,
        };
        self.0.store(next, Ordering::Relaxed);
    }
}

/// A socket whose first byte after a wait begins a head.
pub(super) struct Watched<S> {
    socket: S,
    progress: Progress,
}

impl<S> Watched<S> {
    pub(super) fn new(socket: S, progress: Progress) -> Self {
        Self { socket, progress }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, into))?;
        if into.filled().len() > before && self.progress.now().0 == Phase::Idle {
            self.progress.set(Phase::Head);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_has_a_number_of_its_own() {
        let progress = Progress::default();
        let mut seen = vec![progress.now()];
        for phase in [Phase::Head, Phase::Serving, Phase::Idle, Phase::Serving, Phase::Idle, Phase::Head] {
            progress.set(phase);
            assert_eq!(progress.now().0, phase);
            assert!(progress.now().1 > seen.last().unwrap().1);
            seen.push(progress.now());
        }
    }
}
