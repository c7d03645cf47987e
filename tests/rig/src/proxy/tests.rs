//! The proxy between a client and a server of a test.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Direction, Mode, Proxy};

/// A proxy, and the listener of its server.
async fn start_proxy() -> (Proxy, TcpListener) {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (Proxy::start(server.local_addr().unwrap()).await.unwrap(), server)
}

async fn connect(proxy: &Proxy, server: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    (client, server.accept().await.unwrap().0)
}

async fn receive<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn bytes_and_the_end_of_a_stream_pass_in_both_directions() {
    let (proxy, server) = start_proxy().await;
    let (mut client, mut peer) = connect(&proxy, &server).await;
    client.write_all(b"question").await.unwrap();
    assert_eq!(&receive(&mut peer).await, b"question");
    client.shutdown().await.unwrap();
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    peer.write_all(b"answer").await.unwrap();
    assert_eq!(&receive(&mut client).await, b"answer");
    proxy.wait_for_bytes(14).await;
    assert_eq!(proxy.connections(), 1);
    drop(peer);
    proxy.wait_for_connections(|open| open == 0).await;
}

#[tokio::test]
async fn a_cut_closes_both_sides_and_new_connections_work() {
    let (proxy, server) = start_proxy().await;
    let (mut client, mut peer) = connect(&proxy, &server).await;
    proxy.cut();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);

    let (mut client, mut peer) = connect(&proxy, &server).await;
    client.write_all(b"again").await.unwrap();
    assert_eq!(&receive(&mut peer).await, b"again");
}

#[tokio::test]
async fn a_stranded_connection_stays_open_and_silent_while_new_ones_work() {
    let (proxy, server) = start_proxy().await;
    let (mut old, mut old_peer) = connect(&proxy, &server).await;
    proxy.strand();
    old.write_all(b"into the void").await.unwrap();

    let (mut client, mut peer) = connect(&proxy, &server).await;
    client.write_all(b"again").await.unwrap();
    assert_eq!(&receive(&mut peer).await, b"again");
    assert_eq!(old_peer.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(proxy.connections(), 2);
    proxy.cut();
    assert_eq!(old_peer.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn only_new_connections_go_to_another_upstream() {
    let (proxy, server) = start_proxy().await;
    let (mut old, mut old_peer) = connect(&proxy, &server).await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    proxy.set_upstream(other.local_addr().unwrap());

    let (mut client, mut peer) = connect(&proxy, &other).await;
    client.write_all(b"new").await.unwrap();
    assert_eq!(&receive(&mut peer).await, b"new");
    old.write_all(b"old").await.unwrap();
    assert_eq!(&receive(&mut old_peer).await, b"old");
}

#[tokio::test]
async fn the_client_sees_a_reset() {
    let (proxy, server) = start_proxy().await;
    let (mut client, _peer) = connect(&proxy, &server).await;
    proxy.reset();
    let error = client.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn connections_are_accepted_again_after_a_refusal() {
    let (proxy, server) = start_proxy().await;
    let (mut old, mut peer) = connect(&proxy, &server).await;
    proxy.set(Mode::Refuse).await;
    let error = TcpStream::connect(proxy.address()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    old.write_all(b"still open").await.unwrap();
    assert_eq!(&receive(&mut peer).await, b"still open");

    proxy.set(Mode::Pass).await;
    connect(&proxy, &server).await;
}

#[tokio::test]
async fn a_stall_of_one_direction_leaves_the_other_open() {
    let (proxy, server) = start_proxy().await;
    let (mut client, mut peer) = connect(&proxy, &server).await;
    proxy.set(Mode::Stall(Direction::ToClient)).await;
    peer.write_all(b"answer").await.unwrap();
    client.write_all(b"question").await.unwrap();
    assert_eq!(&receive(&mut peer).await, b"question");
    proxy.wait_for_bytes(8).await;
    assert_eq!(proxy.bytes(), 8);

    proxy.set(Mode::Pass).await;
    assert_eq!(&receive(&mut client).await, b"answer");
}

#[tokio::test]
async fn a_stalled_connection_hides_that_its_server_disconnect() {
    let (proxy, server) = start_proxy().await;
    let (mut client, mut peer) = connect(&proxy, &server).await;
    client.write_all(b"question").await.unwrap();
    assert_eq!(&receive(&mut peer).await, b"question");
    proxy.set(Mode::Stall(Direction::Both)).await;
    drop(peer);
    assert_eq!(client.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(proxy.connections(), 1);

    proxy.cut();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_black_hole_accepts_and_never_connects() {
    let (proxy, server) = start_proxy().await;
    proxy.set(Mode::BlackHole).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    client.write_all(b"question").await.unwrap();
    proxy.wait_for_connections(|open| open == 1).await;
    assert_eq!(proxy.bytes(), 0);

    proxy.set(Mode::Pass).await;
    let mut peer = server.accept().await.unwrap().0;
    assert_eq!(&receive(&mut peer).await, b"question");
}

#[tokio::test]
async fn a_connection_is_cut_after_this_many_bytes() {
    let (proxy, server) = start_proxy().await;
    proxy.set(Mode::CutAfter(4)).await;
    for _ in 0..2 {
        let (mut client, mut peer) = connect(&proxy, &server).await;
        client.write_all(b"any length this way").await.unwrap();
        let _: [u8; 19] = receive(&mut peer).await;
        peer.write_all(b"answer").await.unwrap();
        let mut seen = Vec::new();
        client.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, b"answ");
    }
}
