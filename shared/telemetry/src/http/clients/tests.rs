use super::*;
use prometheus::Registry;
use tokio::time::advance;

fn clients(total: usize, per_peer: usize) -> ClientConnections {
    let metrics = HttpMetrics::register(&Registry::new()).unwrap();
    ClientConnections::new(ConnectionLimits { total, per_peer }, &metrics, ListenerName::Api)
}

fn address(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

#[tokio::test(start_paused = true)]
async fn a_full_listener_closes_the_longest_wait_of_the_address_with_most_sockets() {
    let clients = clients(4, 3);
    let quiet = clients.open(address(1)).unwrap();
    let busy: Vec<_> = (0..3).map(|_| clients.open(address(2)).unwrap()).collect();
    let full = clients.open(address(3)).err();
    assert!(matches!(full, Some(Refusal::NotYet(_))), "each socket has its grace period: {full:?}");
    advance(GRACE).await;
    let new = clients.open(address(3)).unwrap();
    assert!(busy[0].0.closed.is_cancelled());
    for kept in [&quiet, &busy[1], &busy[2], &new] {
        assert!(!kept.0.closed.is_cancelled());
    }
    assert_eq!(clients.metrics().evicted.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_socket_held_by_a_request_is_never_closed_for_another() {
    let clients = clients(3, 2);
    let (first, second) = (clients.open(address(1)).unwrap(), clients.open(address(1)).unwrap());
    let third = clients.open(address(2)).unwrap();
    let (first_hold, second_hold, third_hold) = (first.hold(), second.hold(), third.hold());
    assert_eq!(clients.open(address(2)).err(), Some(Refusal::Full));
    assert_eq!(clients.open(address(1)).err(), Some(Refusal::Peer));
    assert_eq!((clients.metrics().full.get(), clients.metrics().peer.get()), (1, 1));
    advance(GRACE).await;
    // Its answer was sent: now it waits for its next request and may be closed.
    drop(second_hold);
    let full = clients.open(address(3)).err();
    assert!(matches!(full, Some(Refusal::NotYet(_))), "the socket has its grace period: {full:?}");
    advance(GRACE).await;
    let new = clients.open(address(3)).unwrap();
    assert!(second.0.closed.is_cancelled() && !first.0.closed.is_cancelled());
    drop((first_hold, third_hold, new));
}

#[tokio::test(start_paused = true)]
async fn an_address_at_its_limit_loses_only_its_own_sockets() {
    let clients = clients(10, 2);
    let other = clients.open(address(1)).unwrap();
    let mut own: Vec<_> = (0..2).map(|_| clients.open(address(2)).unwrap()).collect();
    assert_eq!(clients.open(address(2)).err(), Some(Refusal::Peer), "it is refused immediately");
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
fn closed_sockets_are_no_longer_counted() {
    let clients = clients(1, 1);
    for _ in 0..3 {
        let socket = clients.open(address(1)).unwrap();
        let hold = socket.hold();
        assert!(clients.open(address(1)).is_err());
        drop(hold);
        drop(socket);
    }
    let table = clients.0.lock();
    assert_eq!((table.open, table.peers.len()), (0, 0));
    assert_eq!(clients.metrics().open.get(), 0);
}

#[test]
fn a_network_of_64_bits_is_one_client() {
    let ip = |text: &str| client_network(text.parse().unwrap());
    assert_eq!(ip("2001:db8::1"), ip("2001:db8::ffff:1"));
    assert_ne!(ip("2001:db8::1"), ip("2001:db8:0:1::1"));
    assert_eq!(ip("::ffff:10.0.0.1"), address(1));
}
