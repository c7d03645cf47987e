//! What a client's socket waits for, and how long it may.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first byte of a request.
    #[default]
    Idle,
    /// The rest of its head.
    Head,
    /// Nothing: an answer is being made, whose time the handler bounds, or sent.
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
pub(super) struct Progress(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    change: u64,
    /// Answers that are not sent yet. Two, when a client sends its next request before it has read an answer.
    answers: usize,
}

impl State {
    fn set(&mut self, phase: Phase) {
        self.phase = phase;
        self.change += 1;
    }
}

impl Progress {
    /// The phase, and the number of its change.
    pub(super) fn now(&self) -> (Phase, u64) {
        let state = self.state();
        (state.phase, state.change)
    }

    /// A request begins to be answered: the socket waits for the next one when all answers are sent.
    pub(super) fn answer(&self) -> Answering {
        let mut state = self.state();
        state.answers += 1;
        state.set(Phase::Serving);
        drop(state);
        Answering(self.clone())
    }

    /// Bytes came.
    fn read(&self) {
        let mut state = self.state();
        if state.phase == Phase::Idle {
            state.set(Phase::Head);
        }
    }

    /// Poisoning is harmless: no statement half-updates the state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropped when an answer is sent, or given up.
#[derive(Debug)]
pub(super) struct Answering(Progress);

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.answers -= 1;
        if state.answers == 0 {
            state.set(Phase::Idle);
        }
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
        if into.filled().len() > before {
            self.progress.read();
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
        let mut check = |phase| {
            let now = progress.now();
            assert!(now.0 == phase && now.1 > seen.last().unwrap().1, "{now:?} after {seen:?}");
            seen.push(now);
        };
        progress.read();
        check(Phase::Head);
        let answer = progress.answer();
        check(Phase::Serving);
        drop(answer);
        check(Phase::Idle);
    }

    #[test]
    fn a_socket_waits_for_a_request_once_all_its_answers_are_sent() {
        let progress = Progress::default();
        let (first, second) = (progress.answer(), progress.answer());
        drop(first);
        progress.read();
        assert_eq!(progress.now().0, Phase::Serving);
        drop(second);
        assert_eq!(progress.now().0, Phase::Idle);
    }
}
