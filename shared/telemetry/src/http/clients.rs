//! The sockets of one listener, and which of them may be closed for a new one.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::ListenerMetrics;
use super::{ConnectionLimits, HttpMetrics, ListenerName};

/// How long an idle socket is protected from being closed for another: enough time to send a head with a token. If it
/// is longer, a flood of new sockets delays other clients, because a full listener accepts at most its number of
/// sockets in this time; if it is shorter, well-behaved clients are cut off.
const GRACE: Duration = Duration::from_millis(250);

/// The sockets of one listener. Clones share them.
#[derive(Debug, Clone)]
pub struct ClientConnections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: ConnectionLimits,
    metrics: ListenerMetrics,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    open: usize,
    /// Number of the next wait; never repeats.
    next: u64,
    peers: HashMap<IpAddr, Peer>,
}

/// The sockets of one address.
#[derive(Debug, Default)]
struct Peer {
    open: usize,
    /// The sockets that may be closed for a new one, longest wait first.
    waiting: BTreeMap<u64, IdleSocket>,
}

/// A socket that no request holds.
#[derive(Debug)]
struct IdleSocket {
    since: Instant,
    closed: CancellationToken,
}

/// Why a new socket is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Requests hold all sockets of the listener.
    Full,
    /// The sockets of this address are all held by requests, or new.
    Peer,
    /// The listener is full, and the next socket to close has not waited long enough: try again at this time.
    NotYet(Instant),
}

/// The result of trying to close an idle socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Eviction {
    /// No socket had to be closed.
    Needless,
    Done,
    /// No socket is idle.
    Impossible,
    /// No socket has waited long enough before this time.
    NotYet(Instant),
}

/// The socket of a client; an extension of each of its requests. Clones refer to the same socket.
#[derive(Debug, Clone)]
pub struct ClientConnection(Arc<Socket>);

#[derive(Debug)]
struct Socket {
    inner: Arc<Inner>,
    address: IpAddr,
    /// The network of the address, which the limits count.
    peer: IpAddr,
    closed: CancellationToken,
    usage: Mutex<SocketUse>,
}

/// What needs a socket.
#[derive(Debug)]
struct SocketUse {
    /// Requests that hold it. Two, if a client sends its next request before it has read an answer.
    requests: usize,
    /// Number of its current wait; `None` while a request holds it.
    wait_number: Option<u64>,
}

/// Protects a socket from being closed for another one until it is dropped.
#[derive(Debug)]
pub struct SocketHold(Arc<Socket>);

impl ClientConnections {
    /// Starts without sockets.
    pub fn new(limits: ConnectionLimits, metrics: &HttpMetrics, listener: ListenerName) -> Self {
        let metrics = metrics.of(listener);
        Self(Arc::new(Inner { limits, metrics, table: Mutex::default() }))
    }

    /// Registers a new socket; if there is no room, closes an idle one.
    pub(crate) fn open(&self, address: IpAddr) -> Result<ClientConnection, Refusal> {
        let peer = client_network(address);
        let mut table = self.0.lock();
        let of_peer = table.peers.get(&peer).map_or(0, |peer| peer.open);
        let (metrics, now) = (&self.0.metrics, Instant::now());
        let (eviction, refusal, refused) = if self.0.limits.is_reached_by(of_peer) {
            let eviction = match table.evict(peer, now) {
                // Waiting here would delay clients of other addresses, although there is room for them.
                Eviction::NotYet(_) => Eviction::Impossible,
                eviction => eviction,
            };
            (eviction, Refusal::Peer, &metrics.peer)
        } else if table.open >= self.0.limits.total {
            (table.evict_from_busiest(now), Refusal::Full, &metrics.full)
        } else {
            (Eviction::Needless, Refusal::Full, &metrics.full)
        };
        match eviction {
            Eviction::Needless => {}
            Eviction::Done => metrics.evicted.inc(),
            Eviction::NotYet(time) => return Err(Refusal::NotYet(time)),
            Eviction::Impossible => {
                refused.inc();
                return Err(refusal);
            }
        }
        let closed = CancellationToken::new();
        let wait_number = table.start_wait(peer, closed.clone());
        table.open += 1;
        table.peers.entry(peer).or_default().open += 1;
        self.0.metrics.open.set(table.open as i64);
        drop(table);
        Ok(ClientConnection(Arc::new(Socket {
            inner: Arc::clone(&self.0),
            address: address.to_canonical(),
            peer,
            closed,
            usage: Mutex::new(SocketUse { requests: 0, wait_number: Some(wait_number) }),
        })))
    }

    /// Closes a socket that has been idle long enough, if there is one. Called when the process has no free file
    /// descriptor.
    pub(crate) fn make_room(&self) {
        if self.0.lock().evict_from_busiest(Instant::now()) == Eviction::Done {
            self.0.metrics.evicted.inc();
        }
    }

    /// Whether slow clients should get less time.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.0.limits.is_nearly_full(self.0.lock().open)
    }

    pub(crate) fn metrics(&self) -> &ListenerMetrics {
        &self.0.metrics
    }
}

impl Inner {
    /// Poisoning is harmless: no statement leaves the table half-updated.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn start_wait(&mut self, peer: IpAddr, closed: CancellationToken) -> u64 {
        let wait_number = self.next;
        self.next += 1;
        let waiting = IdleSocket { since: Instant::now(), closed };
        self.peers.entry(peer).or_default().waiting.insert(wait_number, waiting);
        wait_number
    }

    /// Closes the longest-waiting socket of the address with the most idle sockets; other addresses keep theirs.
    fn evict_from_busiest(&mut self, now: Instant) -> Eviction {
        let busiest = self.peers.iter().max_by_key(|(_, peer)| peer.waiting.len());
        let Some(busiest) = busiest.map(|(address, _)| *address) else { return Eviction::Impossible };
        self.evict(busiest, now)
    }

    /// Asks the longest-waiting socket of an address to close. It counts until it is closed.
    fn evict(&mut self, peer: IpAddr, now: Instant) -> Eviction {
        let longest = self.peers.get_mut(&peer).and_then(|peer| peer.waiting.first_entry());
        let Some(longest) = longest else { return Eviction::Impossible };
        let from = longest.get().since + GRACE;
        if from > now {
            return Eviction::NotYet(from);
        }
        longest.remove().closed.cancel();
        Eviction::Done
    }
}

impl ClientConnection {
    /// Protects the socket from being closed for a new one, until the returned value is dropped.
    ///
    /// Call it once the client is authenticated, and only for a limited number of requests.
    pub fn hold(&self) -> SocketHold {
        let mut usage = self.0.usage();
        usage.requests += 1;
        if let Some(wait_number) = usage.wait_number.take() {
            let mut table = self.0.inner.lock();
            table.peers.get_mut(&self.0.peer).and_then(|peer| peer.waiting.remove(&wait_number));
        }
        drop(usage);
        SocketHold(Arc::clone(&self.0))
    }

    /// The address of the client, or of the proxy that it comes through.
    pub fn address(&self) -> IpAddr {
        self.0.address
    }

    /// Completes when the socket must close because another client needs it.
    pub(crate) async fn wait_closed(&self) {
        self.0.closed.cancelled().await;
    }
}

impl Socket {
    /// Poisoning is harmless: no statement leaves the state half-updated.
    fn usage(&self) -> MutexGuard<'_, SocketUse> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SocketHold {
    fn drop(&mut self) {
        let mut usage = self.0.usage();
        usage.requests -= 1;
        if usage.requests == 0 {
            usage.wait_number = Some(self.0.inner.lock().start_wait(self.0.peer, self.0.closed.clone()));
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let wait_number = self.usage().wait_number.take();
        let mut table = self.inner.lock();
        table.open -= 1;
        let open = table.open;
        if let Some(peer) = table.peers.get_mut(&self.peer) {
            peer.open -= 1;
            wait_number.and_then(|wait_number| peer.waiting.remove(&wait_number));
            if peer.open == 0 {
                table.peers.remove(&self.peer);
            }
        }
        self.inner.metrics.open.set(open as i64);
    }
}

/// The address that limits count. IPv6 addresses count by their /64 network, because one customer has a whole one.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests;
