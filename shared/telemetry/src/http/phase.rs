//! What a client's socket waits for, and how long it may.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a client may send nothing between two requests. Longer than the minute for which load balancers keep
/// their sockets, so that they close first and no request of theirs meets a closed socket. If it is much longer,
/// unused sockets accumulate.
const IDLE: Duration = Duration::from_secs(75);

/// How long the head of a request may take from its first byte. A head is a few kilobytes, which take seconds on the
/// slowest line; if this is longer, clients that send a byte now and then hold sockets.
const HEAD: Duration = Duration::from_secs(10);

/// The same limits when the listener is nearly full. If they are shorter, connections that are only slow are closed.
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
    /// Nothing: the handler makes an answer within its own time limit, or the answer is being sent.
    Serving,
}

impl Phase {
    /// How long the phase may last; `None` if it has no limit.
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

/// The phase of one socket, with a number that grows with every change. Clones refer to the same socket.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    change: u64,
    /// Answers that are not completely sent. Two, if a client sends its next request before it has read an answer.
    answers: usize,
}

impl State {
    fn set(&mut self, phase: Phase) {
        self.phase = phase;
        self.change += 1;
    }
}

impl Progress {
    /// The phase, and the number of its last change.
    pub(super) fn now(&self) -> (Phase, u64) {
        let state = self.state();
        (state.phase, state.change)
    }

    /// Begins an answer. The socket becomes idle when all its answers are sent.
    pub(super) fn begin_answer(&self) -> AnswerGuard {
        let mut state = self.state();
        state.answers += 1;
        state.set(Phase::Serving);
        drop(state);
        AnswerGuard(self.clone())
    }

    /// Records that bytes arrived.
    fn record_read(&self) {
        let mut state = self.state();
        if state.phase == Phase::Idle {
            state.set(Phase::Head);
        }
    }

    /// Poisoning is harmless: no statement leaves the state half-updated.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropped when an answer is sent or given up.
#[derive(Debug)]
pub(super) struct AnswerGuard(Progress);

impl Drop for AnswerGuard {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.answers -= 1;
        if state.answers == 0 {
            state.set(Phase::Idle);
        }
    }
}

/// A socket that reports received bytes to its `Progress`.
pub(super) struct PhaseSocket<S> {
    socket: S,
    progress: Progress,
}

impl<S> PhaseSocket<S> {
    pub(super) fn new(socket: S, progress: Progress) -> Self {
        Self { socket, progress }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PhaseSocket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, into))?;
        if into.filled().len() > before {
            self.progress.record_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PhaseSocket<S> {
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
    fn every_change_has_its_own_number() {
        let progress = Progress::default();
        let mut seen = vec![progress.now()];
        let mut check = |phase| {
            let now = progress.now();
            assert!(now.0 == phase && now.1 > seen.last().unwrap().1, "{now:?} after {seen:?}");
            seen.push(now);
        };
        progress.record_read();
        check(Phase::Head);
        let answer = progress.begin_answer();
        check(Phase::Serving);
        drop(answer);
        check(Phase::Idle);
    }

    #[test]
    fn a_socket_waits_for_a_request_once_all_its_answers_are_sent() {
        let progress = Progress::default();
        let (first, second) = (progress.begin_answer(), progress.begin_answer());
        drop(first);
        progress.record_read();
        assert_eq!(progress.now().0, Phase::Serving);
        drop(second);
        assert_eq!(progress.now().0, Phase::Idle);
    }
}
