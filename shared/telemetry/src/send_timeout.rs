//! A stream that disconnects a client that does not read.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// Time limit in which a client must read a part of its answer.
///
/// Browsers that pause a video stop reading and request the rest later. If it is lower, mobile clients in a tunnel
/// are cut off; if it is higher, clients that never read occupy memory longer.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that must leave the process within the time limit. Otherwise a client that reads a byte now and then could
/// hold an answer of 16 MiB for months; with this limit it is two hours. If it is higher, connections of 20 kbit/s
/// are cut off.
const PROGRESS: usize = 64 * 1024;

/// Bytes that the system buffers for a client that does not read. By default it buffers up to 4 MiB, and accepts more
/// only when a third of them has been sent: a slow client then seems to read nothing for that long, and an answer
/// counts as sent long before it is. If it is lower, fast clients wait for this process; if it is higher, a client's
/// progress within the time limit may look like less than [`PROGRESS`].
const UNSENT: u32 = 2 * PROGRESS as u32;

/// Limits how many unsent bytes the system buffers.
pub(crate) fn limit_unsent(stream: &TcpStream) {
    // On a system without this option, progress is only seen later.
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT).ok();
}

/// A stream that fails if its peer reads too slowly. A silent peer is allowed: only the time in which bytes wait to
/// be sent counts.
#[derive(Debug)]
pub(crate) struct SendTimeoutStream<S> {
    stream: S,
    limit: Duration,
    /// Time that writes may still wait until [`PROGRESS`] bytes have been sent.
    left: Duration,
    /// Bytes sent since the time was last reset.
    sent: usize,
    /// The current wait of a write.
    wait: Option<Wait>,
}

#[derive(Debug)]
struct Wait {
    since: Instant,
    ends: Pin<Box<Sleep>>,
}

impl<S> SendTimeoutStream<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, left: limit, sent: 0, wait: None }
    }

    /// Updates the limits after a write. Only the time in which a write waits counts, not the time between writes.
    fn record_write(&mut self, context: &mut Context<'_>, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        let Poll::Ready(written) = written else {
            let left = self.left;
            let wait = self.wait.get_or_insert_with(|| Wait { since: Instant::now(), ends: Box::pin(sleep(left)) });
            ready!(wait.ends.as_mut().poll(context));
            return Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client does not read its answer")));
        };
        if let Some(wait) = self.wait.take() {
            self.left = self.left.saturating_sub(wait.since.elapsed());
        }
        if let Ok(count) = written {
            self.sent = self.sent.saturating_add(count);
            if self.sent >= PROGRESS {
                (self.left, self.sent) = (self.limit, 0);
            }
        }
        Poll::Ready(written)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SendTimeoutStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.record_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.record_write(context, written)
    }

    // Without this, hyper would copy each answer into its own buffer.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SendTimeoutStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_disconnected() {
        let (_client, server) = duplex(1024);
        let mut sending = SendTimeoutStream::new(server, MINUTE);
        let error = tokio::time::timeout(2 * MINUTE, sending.write_all(&[0; 4096])).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_almost_nothing_is_disconnected_but_a_slow_one_is_not() {
        for (piece, is_given_up) in [(1, true), (64 * 1024, false)] {
            let (mut client, server) = duplex(1024);
            let mut sending = SendTimeoutStream::new(server, MINUTE);
            let reading = async {
                let mut bytes = vec![0; piece];
                loop {
                    sleep(MINUTE / 3).await;
                    if client.read_exact(&mut bytes).await.is_err() {
                        return;
                    }
                }
            };
            let content = vec![0; 1024 * 1024];
            let sent = tokio::select! {
                sent = sending.write_all(&content) => sent,
                () = reading => unreachable!("the server is still there"),
            };
            assert_eq!(sent.is_err(), is_given_up, "{piece} bytes at a time");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_with_nothing_to_send_may_be_silent() {
        let (mut client, server) = duplex(1024);
        let mut sending = SendTimeoutStream::new(server, MINUTE);
        sending.write_all(b"first").await.unwrap();
        sleep(10 * MINUTE).await;
        sending.write_all(b"last!").await.unwrap();
        let mut read = [0; 10];
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"firstlast!");
    }
}
