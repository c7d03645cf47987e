//! Accepts clients: decides who gets a socket and what the others are answered.

use crate::error_chain;
use std::io::{ErrorKind, Write};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until};

use super::clients::{ClientConnection, ClientConnections, Refusal};
use crate::send_timeout::limit_unsent;

/// The pause after the system had no free socket; one is usually freed within a moment. If it is longer, clients wait
/// needlessly; if it is shorter, the loop wastes CPU time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often a listener without free sockets logs it. More often would fill the log during an attack.
const ACCEPT_LOG_PERIOD: Duration = Duration::from_secs(60);

/// The answer to a client whose address already has its limit of sockets.
const PEER_REFUSED: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// The answer to a client of a full listener.
const REFUSED: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// A listener that survives every error of `accept`.
pub(super) struct Acceptor {
    listener: TcpListener,
    pub(super) clients: ClientConnections,
    /// When it last logged that it has no free socket.
    logged: Option<Instant>,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, clients: ClientConnections) -> Self {
        Self { listener, clients, logged: None }
    }

    /// Returns the next client that gets a socket.
    pub(super) async fn next(&mut self) -> (TcpStream, ClientConnection) {
        loop {
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.recover(&error).await;
                    continue;
                }
            };
            let opened = loop {
                match self.clients.open(peer.ip()) {
                    // The listener is full, so other new clients would get no socket either. They wait in the
                    // kernel's queue.
                    Err(Refusal::NotYet(time)) => sleep_until(time).await,
                    opened => break opened,
                }
            };
            match opened {
                Ok(client) => {
                    tracing::trace!(event = "client_accepted", %peer, "socket accepted");
                    // A small answer must not wait for the acknowledgement of the previous one. If the option cannot
                    // be set, the socket is only slower.
                    stream.set_nodelay(true).ok();
                    limit_unsent(&stream);
                    return (stream, client);
                }
                Err(refusal) => {
                    tracing::debug!(event = "client_refused", %peer, ?refusal, "socket refused");
                    // The text fits into the empty buffer of a new socket. If the client has already left, nothing is
                    // lost.
                    if let Ok(mut stream) = stream.into_std() {
                        stream.write_all(answer(refusal)).ok();
                    }
                }
            }
        }
    }

    async fn recover(&mut self, error: &std::io::Error) {
        let is_clients = matches!(
            error.kind(),
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
        );
        if is_clients {
            return;
        }
        if self.logged.is_none_or(|logged| logged.elapsed() >= ACCEPT_LOG_PERIOD) {
            self.logged = Some(Instant::now());
            tracing::error!(
                event = "accept_failed",
                error = error_chain(error),
                "cannot accept a client, closing idle sockets"
            );
        }
        self.clients.make_room();
        sleep(ACCEPT_PAUSE).await;
    }
}

fn answer(refusal: Refusal) -> &'static [u8] {
    match refusal {
        Refusal::Peer => PEER_REFUSED,
        Refusal::Full | Refusal::NotYet(_) => REFUSED,
    }
}
