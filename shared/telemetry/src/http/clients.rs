//! The sockets of one listener, and which of them may be closed for a new one.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::ListenerMetrics;
use super::{ConnectionLimits, HttpMetrics, Listening};

/// How long a socket may wait before it can be closed for another: enough to send a head and to show a token.
/// Longer would let a flood of new sockets keep other clients waiting, as a full listener takes no more sockets in this
/// time than it has; shorter would cut off clients that do nothing wrong.
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
    /// Numbers sockets and waits; never repeats.
    next: u64,
    peers: HashMap<IpAddr, Peer>,
}

/// The sockets of one address.
#[derive(Debug, Default)]
struct Peer {
    open: usize,
    /// Those that may be closed for a new one, longest wait first.
    waiting: BTreeMap<u64, Waiting>,
}

/// A socket that no request holds.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    closed: CancellationToken,
}

/// Why there is no room for a new socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Every socket is held by a request.
    Full,
    /// Every socket of this address is held by a request, or is new.
    Peer,
    /// Every socket is in use, and one is going to be closed that has not waited long enough: ask again at this time.
    NotYet(Instant),
}

/// What became of the wish to close a socket that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Eviction {
    /// There is room.
    Needless,
    Done,
    /// None waits.
    Impossible,
    /// None has waited long enough before this time.
    NotYet(Instant),
}

/// The socket of a client, found among the extensions of its requests. Clones are the same socket.
#[derive(Debug, Clone)]
pub struct ClientConnection(Arc<Socket>);

#[derive(Debug)]
struct Socket {
    inner: Arc<Inner>,
    peer: IpAddr,
    closed: CancellationToken,
    holding: Mutex<Holding>,
}

/// Who needs a socket.
#[derive(Debug)]
struct Holding {
    /// Requests that hold it. Two, when a client sends its next request before it has read an answer.
    requests: usize,
    /// Its place among the waiting; `None` while a request holds it.
    place: Option<u64>,
}

/// A socket that is not closed for another one. Dropped, it may be again.
#[derive(Debug)]
pub struct Held(Arc<Socket>);

impl ClientConnections {
    /// No sockets yet.
    pub fn new(limits: ConnectionLimits, metrics: &HttpMetrics, listener: Listening) -> Self {
        let metrics = metrics.of(listener);
        Self(Arc::new(Inner { limits, metrics, table: Mutex::default() }))
    }

    /// Counts a new socket, and closes one that waits if there is no room otherwise.
    pub(crate) fn open(&self, peer: IpAddr) -> Result<ClientConnection, Refusal> {
        let peer = network(peer);
        let mut table = self.0.lock();
        let of_peer = table.peers.get(&peer).map_or(0, |peer| peer.open);
        let (metrics, now) = (&self.0.metrics, Instant::now());
        let (eviction, refusal, refused) = if self.0.limits.is_reached_by(of_peer) {
            let eviction = match table.evict(peer, now) {
                // Who waits for that keeps other addresses waiting, though there is room for them.
                Eviction::NotYet(_) => Eviction::Impossible,
                eviction => eviction,
            };
            (eviction, Refusal::Peer, &metrics.peer)
        } else if table.open >= self.0.limits.total {
            (table.evict_greediest(now), Refusal::Full, &metrics.full)
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
        let place = table.wait(peer, closed.clone());
        table.open += 1;
        table.peers.entry(peer).or_default().open += 1;
        self.0.metrics.open.set(table.open as i64);
        drop(table);
        Ok(ClientConnection(Arc::new(Socket {
            inner: Arc::clone(&self.0),
            peer,
            closed,
            holding: Mutex::new(Holding { requests: 0, place: Some(place) }),
        })))
    }

    /// Closes a socket that has waited long enough, if there is one: the process has run out of files.
    pub(crate) fn make_room(&self) {
        if self.0.lock().evict_greediest(Instant::now()) == Eviction::Done {
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
    /// The table is right after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn wait(&mut self, peer: IpAddr, closed: CancellationToken) -> u64 {
        let place = self.next;
        self.next += 1;
        let waiting = Waiting { since: Instant::now(), closed };
        self.peers.entry(peer).or_default().waiting.insert(place, waiting);
        place
    }

    /// Tells the longest wait of the address that has most of them to close: others keep theirs.
    fn evict_greediest(&mut self, now: Instant) -> Eviction {
        let greediest = self.peers.iter().max_by_key(|(_, peer)| peer.waiting.len());
        let Some(greediest) = greediest.map(|(address, _)| *address) else { return Eviction::Impossible };
        self.evict(greediest, now)
    }

    /// Tells the longest wait of an address to close. It counts until it has.
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
    /// Keeps the socket from being closed for a new one, as long as what is returned lives.
    ///
    /// Call it once the client has shown who it is, and only for as many as a limit lets in.
    pub fn hold(&self) -> Held {
        let mut holding = self.0.holding();
        holding.requests += 1;
        if let Some(place) = holding.place.take() {
            let mut table = self.0.inner.lock();
            table.peers.get_mut(&self.0.peer).and_then(|peer| peer.waiting.remove(&place));
        }
        drop(holding);
        Held(Arc::clone(&self.0))
    }

    /// Ends with the socket: it waited, and another client needed its place.
    pub(crate) async fn closed(&self) {
        self.0.closed.cancelled().await;
    }
}

impl Socket {
    /// Poisoning is harmless: no statement half-updates it.
    fn holding(&self) -> MutexGuard<'_, Holding> {
        self.holding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut holding = self.0.holding();
        holding.requests -= 1;
        if holding.requests == 0 {
            holding.place = Some(self.0.inner.lock().wait(self.0.peer, self.0.closed.clone()));
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let place = self.holding().place.take();
        let mut table = self.inner.lock();
        table.open -= 1;
        let open = table.open;
        if let Some(peer) = table.peers.get_mut(&self.peer) {
            peer.open -= 1;
            place.and_then(|place| peer.waiting.remove(&place));
            if peer.open == 0 {
                table.peers.remove(&self.peer);
            }
        }
        self.inner.metrics.open.set(open as i64);
    }
}

/// The address that limits count: one customer has a whole IPv6 network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::Registry;
    use tokio::time::advance;

    fn clients(total: usize, per_peer: usize) -> ClientConnections {
        let metrics = HttpMetrics::register(&Registry::new()).unwrap();
        ClientConnections::new(ConnectionLimits { total, per_peer }, &metrics, Listening::Api)
    }

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_listener_closes_the_longest_wait_of_the_address_that_has_most() {
        let clients = clients(4, 3);
        let quiet = clients.open(address(1)).unwrap();
        let greedy: Vec<_> = (0..3).map(|_| clients.open(address(2)).unwrap()).collect();
        let full = clients.open(address(3)).err();
        assert!(matches!(full, Some(Refusal::NotYet(_))), "each has a moment: {full:?}");
        advance(GRACE).await;
        let new = clients.open(address(3)).unwrap();
        assert!(greedy[0].0.closed.is_cancelled());
        for kept in [&quiet, &greedy[1], &greedy[2], &new] {
            assert!(!kept.0.closed.is_cancelled());
        }
        assert_eq!(clients.metrics().evicted.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_with_a_request_that_was_let_in_is_never_closed_for_another() {
        let clients = clients(3, 2);
        let (first, second) = (clients.open(address(1)).unwrap(), clients.open(address(1)).unwrap());
        let third = clients.open(address(2)).unwrap();
        let (held, also, others) = (first.hold(), second.hold(), third.hold());
        assert_eq!(clients.open(address(2)).err(), Some(Refusal::Full));
        assert_eq!(clients.open(address(1)).err(), Some(Refusal::Peer));
        assert_eq!((clients.metrics().full.get(), clients.metrics().peer.get()), (1, 1));
        advance(GRACE).await;
        // Its answer is sent: now it waits for a next request, and is the one to go.
        drop(also);
        let full = clients.open(address(3)).err();
        assert!(matches!(full, Some(Refusal::NotYet(_))), "a moment for its next request: {full:?}");
        advance(GRACE).await;
        let new = clients.open(address(3)).unwrap();
        assert!(second.0.closed.is_cancelled() && !first.0.closed.is_cancelled());
        drop((held, others, new));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_at_its_limit_loses_its_own_sockets_and_no_other_does() {
        let clients = clients(10, 2);
        let other = clients.open(address(1)).unwrap();
        let mut own: Vec<_> = (0..2).map(|_| clients.open(address(2)).unwrap()).collect();
        assert_eq!(
            clients.open(address(2)).err(),
            Some(Refusal::Peer),
            "it is told at once, and no other address waits"
        );
        advance(GRACE).await;
        own.push(clients.open(address(2)).unwrap());
        assert!(own[0].0.closed.is_cancelled() && !own[1].0.closed.is_cancelled() && !other.0.closed.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_is_held_until_the_last_of_its_answers_is_sent() {
        let clients = clients(1, 1);
        let socket = clients.open(address(1)).unwrap();
        let (first, second) = (socket.hold(), socket.hold());
        drop(first);
        advance(GRACE).await;
        assert_eq!(clients.open(address(2)).err(), Some(Refusal::Full));
        drop(second);
        advance(GRACE).await;
        assert!(clients.open(address(2)).is_ok() && socket.0.closed.is_cancelled());
    }

    #[test]
    fn what_is_closed_is_counted_no_more() {
        let clients = clients(1, 1);
        for _ in 0..3 {
            let socket = clients.open(address(1)).unwrap();
            let held = socket.hold();
            assert!(clients.open(address(1)).is_err());
            drop(held);
            drop(socket);
        }
        let table = clients.0.lock();
        assert_eq!((table.open, table.peers.len()), (0, 0));
        assert_eq!(clients.metrics().open.get(), 0);
    }

    #[test]
    fn a_network_of_64_bits_is_one_client() {
        let ip = |text: &str| network(text.parse().unwrap());
        assert_eq!(ip("2001:db8::1"), ip("2001:db8::ffff:1"));
        assert_ne!(ip("2001:db8::1"), ip("2001:db8:0:1::1"));
        assert_eq!(ip("::ffff:10.0.0.1"), address(1));
    }
}
