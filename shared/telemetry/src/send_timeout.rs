//! A connection whose client has to read.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// How long a client may read next to nothing of an answer.
///
/// Browsers that pause a video stop reading and ask for the
/// rest later; lower would cut mobile clients in a tunnel, higher lets clients that never read hold memory.
pub const SEND: Duration = Duration::from_secs(30);

/// Bytes that have to leave within the time. A client that takes a byte now and then would otherwise hold an answer of
/// 16 MiB for months; so it is two hours. Higher would cut connections of 20 kbit/s.
const PROGRESS: usize = 64 * 1024;

/// Bytes that the system holds for a client who does not read. It would hold up to 4 MiB, and take more only when a
/// third of them is gone: then a slow client seems to read nothing for as long, and an answer counts as sent long
/// before it is. Lower, and fast clients wait for us; higher, and less than [`PROGRESS`] may be seen in the time.
const UNSENT: u32 = 2 * PROGRESS as u32;

/// Bounds what the system holds of an answer before it is on its way.
pub(crate) fn bound_unsent(stream: &TcpStream) {
    // A system that cannot do so only sees progress later.
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT).ok();
}

/// A stream that fails once its peer reads too slowly. Silence is no fault: only what waits to be sent counts.
#[derive(Debug)]
pub(crate) struct Sending<S> {
    stream: S,
    limit: Duration,
    /// How long writes may still wait until enough left, and what left of that.
    left: Duration,
    sent: usize,
    /// The wait that is under way.
    wait: Option<Wait>,
}

#[derive(Debug)]
struct Wait {
    since: Instant,
    ends: Pin<Box<Sleep>>,
}

impl<S> Sending<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, left: limit, sent: 0, wait: None }
    }

    /// Takes note of what came of a write. Time counts while a write waits, and not between writes.
    fn note(&mut self, context: &mut Context<'_>, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Sending<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.note(context, written)
    }

    // Without it, hyper would copy each answer into a buffer of its own.
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

impl<S: AsyncRead + Unpin> AsyncRead for Sending<S> {
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
    async fn a_client_that_reads_nothing_is_given_up() {
        let (_client, server) = duplex(1024);
        let mut sending = Sending::new(server, MINUTE);
        let error = tokio::time::timeout(2 * MINUTE, sending.write_all(&[0; 4096])).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_a_byte_now_and_then_is_given_up_and_one_that_is_slow_is_not() {
        for (piece, is_given_up) in [(1, true), (64 * 1024, false)] {
            let (mut client, server) = duplex(1024);
            let mut sending = Sending::new(server, MINUTE);
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
        let mut sending = Sending::new(server, MINUTE);
        sending.write_all(b"first").await.unwrap();
        sleep(10 * MINUTE).await;
        sending.write_all(b"last!").await.unwrap();
        let mut read = [0; 10];
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"firstlast!");
    }
}
