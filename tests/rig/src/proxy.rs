//! A TCP proxy with which a test breaks the connections between a process and a server.
//!
//! It does not look at the content. A [`Mode`] applies to open and new connections and may change at any time;
//! [`Proxy::cut`], [`Proxy::reset`] and [`Proxy::strand`] apply to the connections that are open then.

mod connection;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use connection::CountedConnection;

/// How the proxy treats connections and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// The port is closed: new connections are refused, open ones continue.
    Refuse,
    /// Connections stay open, but the proxy holds back bytes in this direction until the mode changes.
    Stall(Direction),
    /// New connections are accepted and never answered; open ones stall in both directions.
    BlackHole,
    /// A connection is closed when the server has sent it this many bytes since the mode was set.
    CutAfter(u64),
    /// Bytes from the server arrive this much later.
    Lag(Duration),
}

/// The direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
    Both,
}

impl Mode {
    fn stalls(self, direction: Direction) -> bool {
        match self {
            Self::BlackHole | Self::Stall(Direction::Both) => true,
            Self::Stall(stalled) => stalled == direction,
            Self::Pass | Self::Refuse | Self::CutAfter(_) | Self::Lag(_) => false,
        }
    }
}

/// A running proxy. Dropping it closes its port and every connection.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<SharedState>,
    stop: CancellationToken,
    /// Bound but not listening: it reserves the port while connections are refused.
    _reservation: TcpSocket,
}

/// State that the handle, the listener and the connections share.
struct SharedState {
    /// The server for new connections.
    upstream: watch::Sender<SocketAddr>,
    setting: watch::Sender<Setting>,
    listening: watch::Sender<bool>,
    /// A change ends every open connection in this way.
    end: watch::Sender<ConnectionEnd>,
    connections: watch::Sender<usize>,
    bytes: watch::Sender<u64>,
}

#[derive(Clone, Copy)]
struct Setting {
    mode: Mode,
    /// Increases with each change, also if the same mode is set again.
    number: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ConnectionEnd {
    #[default]
    Close,
    Reset,
    Strand,
}

impl Proxy {
    /// Listens on a free port of the loopback address. The server may start later.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let reservation = bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = reservation.local_addr()?;
        let listener = bind(address)?.listen(1024)?;

        let shared = Arc::new(SharedState {
            upstream: watch::Sender::new(upstream),
            setting: watch::Sender::new(Setting { mode: Mode::Pass, number: 0 }),
            listening: watch::Sender::new(true),
            end: watch::Sender::default(),
            connections: watch::Sender::default(),
            bytes: watch::Sender::default(),
        });
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let accepting = accept(listener, Arc::clone(&shared), tasks.clone(), stop.clone());
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(accepting).await });
        Ok(Self { address, shared, stop, _reservation: reservation })
    }

    /// The address for clients.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the mode, which is active on return. Bytes that a stall held back are sent.
    pub async fn set(&self, mode: Mode) {
        self.shared.setting.send_modify(|setting| *setting = Setting { mode, number: setting.number + 1 });
        until(&self.shared.listening, |listening| *listening == (mode != Mode::Refuse)).await;
    }

    /// Sends new connections to another server. Open connections stay.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.shared.upstream.send_replace(upstream);
    }

    /// Closes every open connection; new ones work.
    pub fn cut(&self) {
        self.shared.end.send_replace(ConnectionEnd::Close);
    }

    /// Resets every open connection; new ones work.
    pub fn reset(&self) {
        self.shared.end.send_replace(ConnectionEnd::Reset);
    }

    /// Leaves every open connection open without passing any byte; new ones work.
    ///
    /// This is how it looks when a device in between has lost its state of a connection. A cut or a reset ends them.
    pub fn strand(&self) {
        self.shared.end.send_replace(ConnectionEnd::Strand);
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        *self.shared.connections.borrow()
    }

    /// Waits until the number of open connections meets a condition.
    pub async fn wait_for_connections(&self, is_wanted: impl Fn(usize) -> bool) {
        until(&self.shared.connections, |open| is_wanted(*open)).await;
    }

    /// The number of bytes passed so far, in both directions of all connections.
    pub fn bytes(&self) -> u64 {
        *self.shared.bytes.borrow()
    }

    /// Waits until [`Self::bytes`] has reached `total`.
    pub async fn wait_for_bytes(&self, total: u64) {
        until(&self.shared.bytes, |bytes| *bytes >= total).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Waits until the value meets a condition, and returns it.
async fn until<T: Copy>(sender: &watch::Sender<T>, is_wanted: impl Fn(&T) -> bool) -> T {
    *sender.subscribe().wait_for(|value| is_wanted(value)).await.expect("the sender is borrowed")
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(mut listener: TcpListener, shared: Arc<SharedState>, tasks: TaskTracker, stop: CancellationToken) {
    let address = listener.local_addr().expect("a bound listener has an address");
    loop {
        tokio::select! {
            _ = until(&shared.setting, |setting| setting.mode == Mode::Refuse) => {
                drop(listener);
                shared.listening.send_replace(false);
                until(&shared.setting, |setting| setting.mode != Mode::Refuse).await;
                listener = bind(address).and_then(|socket| socket.listen(1024)).expect("the port is reserved");
                shared.listening.send_replace(true);
            }
            accepted = listener.accept() => {
                // The client has already disconnected.
                let Ok((client, _)) = accepted else { continue };
                let open = CountedConnection::enter(Arc::clone(&shared));
                let stop = stop.clone();
                tasks.spawn(async move { stop.run_until_cancelled(open.run(client)).await });
            }
        }
    }
}
