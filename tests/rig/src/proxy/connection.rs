//! One connection through the proxy.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;

use super::{ConnectionEnd, Direction, Mode, SharedState, until};

/// A connection that is counted while it is open.
pub(super) struct CountedConnection {
    shared: Arc<SharedState>,
    end: watch::Receiver<ConnectionEnd>,
}

impl CountedConnection {
    pub(super) fn enter(shared: Arc<SharedState>) -> Self {
        shared.connections.send_modify(|open| *open += 1);
        Self { end: shared.end.subscribe(), shared }
    }

    pub(super) async fn run(mut self, mut client: TcpStream) {
        {
            let mut carrying = std::pin::pin!(carry(&self.shared, &mut client));
            let mut is_stranded = false;
            loop {
                tokio::select! {
                    // The end first: bytes that come after it must not pass.
                    biased;
                    // It cannot fail: the shared state has the sender.
                    _ = self.end.changed() => {
                        is_stranded = *self.end.borrow_and_update() == ConnectionEnd::Strand;
                        if !is_stranded {
                            break;
                        }
                    }
                    // The client sees that the connection ended, for whatever reason.
                    _ = &mut carrying, if !is_stranded => return,
                }
            }
        }
        if *self.end.borrow() == ConnectionEnd::Reset {
            client.set_zero_linger().expect("an open socket has a linger option");
        }
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.shared.connections.send_modify(|open| *open -= 1);
    }
}

async fn carry(shared: &SharedState, client: &mut TcpStream) -> io::Result<()> {
    until(&shared.setting, |setting| setting.mode != Mode::BlackHole).await;
    let upstream = *shared.upstream.borrow();
    let mut server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        pump(shared, Direction::ToServer, from_client, to_server),
        pump(shared, Direction::ToClient, from_server, to_client),
    )?;
    Ok(())
}

/// Passes bytes in one direction until the sender closes it. An error ends both directions.
async fn pump(
    shared: &SharedState,
    direction: Direction,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut last_number = shared.setting.borrow().number;
    let mut passed: u64 = 0;
    loop {
        let read = from.read(&mut buffer).await?;
        let setting = until(&shared.setting, |setting| !setting.mode.stalls(direction)).await;
        if read == 0 {
            return to.shutdown().await;
        }
        if setting.number != last_number {
            (last_number, passed) = (setting.number, 0);
        }
        if let (Mode::Lag(time), Direction::ToClient) = (setting.mode, direction) {
            tokio::time::sleep(time).await;
        }
        let left = match setting.mode {
            Mode::CutAfter(bytes) if direction == Direction::ToClient => bytes.saturating_sub(passed),
            _ => u64::MAX,
        };
        let count = read.min(usize::try_from(left).unwrap_or(usize::MAX));
        to.write_all(&buffer[..count]).await?;
        passed += count as u64;
        shared.bytes.send_modify(|bytes| *bytes += count as u64);
        if count as u64 == left {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
    }
}
