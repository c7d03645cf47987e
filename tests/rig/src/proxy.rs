//! A TCP proxy that breaks connections: the network between a process and a server, at a test's will.
//!
//! It knows nothing of what it carries. A [`Mode`] is for old and new connections alike and may
//! change at any time; [`Proxy::cut`], [`Proxy::reset`] and [`Proxy::strand`] are for the connections of the moment.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What becomes of connections and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Nobody listens: new connections are refused, old ones go on.
    Refuse,
    /// Connections stay open, but bytes this way are kept until another mode: a half-open connection.
    Stall(Way),
    /// New connections are accepted and never answered; old ones stall both ways.
    BlackHole,
    /// A connection is cut once the server sent it so many bytes since the mode was set.
    CutAfter(u64),
}

/// The direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
    Both,
}

impl Mode {
    fn stops(self, way: Way) -> bool {
        match self {
            Self::BlackHole | Self::Stall(Way::Both) => true,
            Self::Stall(stalled) => stalled == way,
            Self::Pass | Self::Refuse | Self::CutAfter(_) => false,
        }
    }
}

/// A running proxy. Dropped, it closes its port and every connection.
pub struct Proxy {
    address: SocketAddr,
    link: Arc<Link>,
    stop: CancellationToken,
    /// Bound but never listening: the port stays ours while connections are refused.
    _reservation: TcpSocket,
}

/// What the handle, the listener and the connections share.
struct Link {
    /// Where new connections lead.
    upstream: watch::Sender<SocketAddr>,
    setting: watch::Sender<Setting>,
    listening: watch::Sender<bool>,
    /// A change is for every connection there is.
    ending: watch::Sender<Ending>,
    connections: watch::Sender<usize>,
    bytes: watch::Sender<u64>,
}

#[derive(Clone, Copy)]
struct Setting {
    mode: Mode,
    /// Tells a mode that was set again from one that was never changed.
    number: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Ending {
    #[default]
    Close,
    Reset,
    Strand,
}

impl Proxy {
    /// Listens on a free port of the loopback. The server need not be there yet.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let reservation = bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = reservation.local_addr()?;
        let listener = bind(address)?.listen(1024)?;

        let link = Arc::new(Link {
            upstream: watch::Sender::new(upstream),
            setting: watch::Sender::new(Setting { mode: Mode::Pass, number: 0 }),
            listening: watch::Sender::new(true),
            ending: watch::Sender::default(),
            connections: watch::Sender::default(),
            bytes: watch::Sender::default(),
        });
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let accepting = accept(listener, Arc::clone(&link), tasks.clone(), stop.clone());
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(accepting).await });
        Ok(Self { address, link, stop, _reservation: reservation })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets what becomes of connections from now on; in force on return. What a stall kept goes on its way.
    pub async fn set(&self, mode: Mode) {
        self.link.setting.send_modify(|setting| *setting = Setting { mode, number: setting.number + 1 });
        until(&self.link.listening, |listening| *listening == (mode != Mode::Refuse)).await;
    }

    /// Leads new connections to another server; old ones stay where they are.
    pub fn lead_to(&self, upstream: SocketAddr) {
        self.link.upstream.send_replace(upstream);
    }

    /// Closes every connection there is; new ones are served.
    pub fn cut(&self) {
        self.link.ending.send_replace(Ending::Close);
    }

    /// Ends every connection there is with a reset; new ones are served.
    pub fn reset(&self) {
        self.link.ending.send_replace(Ending::Reset);
    }

    /// Leaves every connection there is half-open for good: open, and not one byte passes. New ones are served.
    ///
    /// So it looks when something in between has forgotten a connection. A cut or a reset ends them.
    pub fn strand(&self) {
        self.link.ending.send_replace(Ending::Strand);
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        *self.link.connections.borrow()
    }

    /// Resolves once the number of open connections is as wanted.
    pub async fn wait_for_connections(&self, is_wanted: impl Fn(usize) -> bool) {
        until(&self.link.connections, |open| is_wanted(*open)).await;
    }

    /// Bytes passed on so far, both ways and all connections together.
    pub fn bytes(&self) -> u64 {
        *self.link.bytes.borrow()
    }

    /// Resolves once [`Self::bytes`] has come to `total`.
    pub async fn wait_for_bytes(&self, total: u64) {
        until(&self.link.bytes, |bytes| *bytes >= total).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Waits for a value and gives it. It cannot wait in vain for a dropped sender, since it borrows it.
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

async fn accept(mut listener: TcpListener, link: Arc<Link>, tasks: TaskTracker, stop: CancellationToken) {
    let address = listener.local_addr().expect("a bound listener has an address");
    loop {
        tokio::select! {
            _ = until(&link.setting, |setting| setting.mode == Mode::Refuse) => {
                drop(listener);
                link.listening.send_replace(false);
                until(&link.setting, |setting| setting.mode != Mode::Refuse).await;
                listener = bind(address).and_then(|socket| socket.listen(1024)).expect("the port is reserved");
                link.listening.send_replace(true);
            }
            accepted = listener.accept() => {
                // A client that is gone already is no connection.
                let Ok((client, _)) = accepted else { continue };
                let open = Open::enter(Arc::clone(&link));
                let stop = stop.clone();
                tasks.spawn(async move { stop.run_until_cancelled(open.run(client)).await });
            }
        }
    }
}

/// One connection, counted while it lasts.
struct Open {
    link: Arc<Link>,
    ending: watch::Receiver<Ending>,
}

impl Open {
    fn enter(link: Arc<Link>) -> Self {
        link.connections.send_modify(|open| *open += 1);
        Self { ending: link.ending.subscribe(), link }
    }

    async fn run(mut self, mut client: TcpStream) {
        {
            let mut carrying = std::pin::pin!(carry(&self.link, &mut client));
            let mut is_stranded = false;
            loop {
                tokio::select! {
                    // The ending first: bytes that come after it must not slip through.
                    biased;
                    // It cannot fail: the sender lives in the link.
                    _ = self.ending.changed() => {
                        is_stranded = *self.ending.borrow_and_update() == Ending::Strand;
                        if !is_stranded {
                            break;
                        }
                    }
                    // However it ends, the client sees it end: why is the server's affair.
                    _ = &mut carrying, if !is_stranded => return,
                }
            }
        }
        if *self.ending.borrow() == Ending::Reset {
            client.set_zero_linger().expect("an open socket can be told how to close");
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.link.connections.send_modify(|open| *open -= 1);
    }
}

async fn carry(link: &Link, client: &mut TcpStream) -> io::Result<()> {
    until(&link.setting, |setting| setting.mode != Mode::BlackHole).await;
    let upstream = *link.upstream.borrow();
    let mut server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        pump(link, Way::ToServer, from_client, to_server),
        pump(link, Way::ToClient, from_server, to_client),
    )?;
    Ok(())
}

/// Passes bytes on one way until the sender is done; an error ends both ways.
async fn pump(link: &Link, way: Way, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut last_number = link.setting.borrow().number;
    let mut passed: u64 = 0;
    loop {
        let read = from.read(&mut buffer).await?;
        let setting = until(&link.setting, |setting| !setting.mode.stops(way)).await;
        if read == 0 {
            return to.shutdown().await;
        }
        if setting.number != last_number {
            (last_number, passed) = (setting.number, 0);
        }
        let left = match setting.mode {
            Mode::CutAfter(bytes) if way == Way::ToClient => bytes.saturating_sub(passed),
            _ => u64::MAX,
        };
        let count = read.min(usize::try_from(left).unwrap_or(usize::MAX));
        to.write_all(&buffer[..count]).await?;
        passed += count as u64;
        link.bytes.send_modify(|bytes| *bytes += count as u64);
        if count as u64 == left {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::{AsyncReadExt, AsyncWriteExt, Mode, Proxy, TcpListener, TcpStream, Way};

    /// A proxy before a server whose accepted connections come one by one.
    async fn proxied() -> (Proxy, TcpListener) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (Proxy::start(server.local_addr().unwrap()).await.unwrap(), server)
    }

    async fn connected(proxy: &Proxy, server: &TcpListener) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(proxy.address()).await.unwrap();
        (client, server.accept().await.unwrap().0)
    }

    async fn received<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
        let mut bytes = [0; N];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_so_does_the_end() {
        let (proxy, server) = proxied().await;
        let (mut client, mut peer) = connected(&proxy, &server).await;
        client.write_all(b"question").await.unwrap();
        assert_eq!(&received(&mut peer).await, b"question");
        client.shutdown().await.unwrap();
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
        peer.write_all(b"answer").await.unwrap();
        assert_eq!(&received(&mut client).await, b"answer");
        proxy.wait_for_bytes(14).await;
        assert_eq!(proxy.connections(), 1);
        drop(peer);
        proxy.wait_for_connections(|open| open == 0).await;
    }

    #[tokio::test]
    async fn a_cut_ends_both_sides_and_new_connections_pass() {
        let (proxy, server) = proxied().await;
        let (mut client, mut peer) = connected(&proxy, &server).await;
        proxy.cut();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);

        let (mut client, mut peer) = connected(&proxy, &server).await;
        client.write_all(b"again").await.unwrap();
        assert_eq!(&received(&mut peer).await, b"again");
    }

    #[tokio::test]
    async fn a_stranded_connection_stays_open_and_silent_while_new_ones_pass() {
        let (proxy, server) = proxied().await;
        let (mut old, mut old_peer) = connected(&proxy, &server).await;
        proxy.strand();
        old.write_all(b"into the void").await.unwrap();

        let (mut client, mut peer) = connected(&proxy, &server).await;
        client.write_all(b"again").await.unwrap();
        assert_eq!(&received(&mut peer).await, b"again");
        assert_eq!(old_peer.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(proxy.connections(), 2);
        proxy.cut();
        assert_eq!(old_peer.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn new_connections_go_where_the_proxy_leads_and_old_ones_stay() {
        let (proxy, server) = proxied().await;
        let (mut old, mut old_peer) = connected(&proxy, &server).await;
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        proxy.lead_to(other.local_addr().unwrap());

        let (mut client, mut peer) = connected(&proxy, &other).await;
        client.write_all(b"new").await.unwrap();
        assert_eq!(&received(&mut peer).await, b"new");
        old.write_all(b"old").await.unwrap();
        assert_eq!(&received(&mut old_peer).await, b"old");
    }

    #[tokio::test]
    async fn a_reset_is_seen_as_one() {
        let (proxy, server) = proxied().await;
        let (mut client, _peer) = connected(&proxy, &server).await;
        proxy.reset();
        let error = client.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn refused_connections_are_accepted_again_later() {
        let (proxy, server) = proxied().await;
        let (mut old, mut peer) = connected(&proxy, &server).await;
        proxy.set(Mode::Refuse).await;
        let error = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        old.write_all(b"goes on").await.unwrap();
        assert_eq!(&received(&mut peer).await, b"goes on");

        proxy.set(Mode::Pass).await;
        connected(&proxy, &server).await;
    }

    #[tokio::test]
    async fn a_one_way_stall_keeps_only_that_way() {
        let (proxy, server) = proxied().await;
        let (mut client, mut peer) = connected(&proxy, &server).await;
        proxy.set(Mode::Stall(Way::ToClient)).await;
        peer.write_all(b"answer").await.unwrap();
        client.write_all(b"question").await.unwrap();
        assert_eq!(&received(&mut peer).await, b"question");
        proxy.wait_for_bytes(8).await;
        assert_eq!(proxy.bytes(), 8);

        proxy.set(Mode::Pass).await;
        assert_eq!(&received(&mut client).await, b"answer");
    }

    #[tokio::test]
    async fn a_stalled_connection_does_not_show_that_its_server_is_gone() {
        let (proxy, server) = proxied().await;
        let (mut client, mut peer) = connected(&proxy, &server).await;
        client.write_all(b"question").await.unwrap();
        assert_eq!(&received(&mut peer).await, b"question");
        proxy.set(Mode::Stall(Way::Both)).await;
        drop(peer);
        assert_eq!(client.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(proxy.connections(), 1);

        proxy.cut();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_black_hole_accepts_and_never_connects() {
        let (proxy, server) = proxied().await;
        proxy.set(Mode::BlackHole).await;
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client.write_all(b"question").await.unwrap();
        proxy.wait_for_connections(|open| open == 1).await;
        assert_eq!(proxy.bytes(), 0);

        proxy.set(Mode::Pass).await;
        let mut peer = server.accept().await.unwrap().0;
        assert_eq!(&received(&mut peer).await, b"question");
    }

    #[tokio::test]
    async fn a_connection_is_cut_after_so_many_bytes() {
        let (proxy, server) = proxied().await;
        proxy.set(Mode::CutAfter(4)).await;
        for _ in 0..2 {
            let (mut client, mut peer) = connected(&proxy, &server).await;
            client.write_all(b"any length this way").await.unwrap();
            let _: [u8; 19] = received(&mut peer).await;
            peer.write_all(b"answer").await.unwrap();
            let mut seen = Vec::new();
            client.read_to_end(&mut seen).await.unwrap();
            assert_eq!(seen, b"answ");
        }
    }
}
