//! Opens TCP connections, only to addresses that the guard permits.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_service::Service;

use super::AllowedEndpoints;

/// The connector below TLS: resolves the name, checks each address, connects to a permitted one.
#[derive(Clone)]
pub(super) struct Connector {
    allowed: Arc<AllowedEndpoints>,
    patience: Duration,
    /// Called again for every connection, because DNS answers may change. Tests replace [`resolve`] here.
    resolve: Arc<Resolve>,
}

/// Limits concurrent name lookups. If it is higher, slow name servers of one storage could occupy all blocking
/// threads; if it is lower, a few slow lookups would keep all other storages from connecting.
static LOOKUPS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(8)));

type Resolve = dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Why no connection was opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the host resolves only to blocked addresses")]
    Blocked,
    #[error("the host name does not resolve")]
    Unresolved(#[source] io::Error),
    #[error("no address of the host accepts connections")]
    Refused(#[source] io::Error),
    #[error("no connection in time")]
    TimedOut,
}

impl Connector {
    /// `patience` is the limit for resolving and connecting together.
    pub(super) fn new(allowed: AllowedEndpoints, patience: Duration) -> Self {
        let resolve: Arc<Resolve> = Arc::new(|host, port| Box::pin(async move { resolve(&host, port).await }));
        Self { allowed: Arc::new(allowed), patience, resolve }
    }

    /// Opens a connection.
    pub(super) async fn open(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        timeout(self.patience, self.connect(host, port)).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let resolved = (self.resolve)(host.to_owned(), port).await.map_err(ConnectError::Unresolved)?;
        let permitted: Vec<SocketAddr> =
            resolved.into_iter().filter(|address| self.allowed.permits(host, *address)).collect();
        let Ok(count @ 1..) = u32::try_from(permitted.len()) else { return Err(ConnectError::Blocked) };

        // Each address gets an equal share of the time, so that one that drops packets leaves time for the next.
        let share = self.patience / count;
        let mut last = ConnectError::TimedOut;
        for address in permitted {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Each request is one write; waiting to fill a packet only adds latency.
                    stream.set_nodelay(true).map_err(ConnectError::Refused)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last = ConnectError::Refused(error),
                Err(_) => {}
            }
        }
        Err(last)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
            Ok(TokioIo::new(connector.open(host, port).await?))
        })
    }
}

/// Resolves a host to its addresses.
///
/// The system's resolver also accepts `2130706433` or `0x7f.1` as addresses; the guard checks what they resolve to.
/// Names below `localhost` mean this machine (RFC 6761), even if the resolver does not know that.
///
/// A lookup blocks its thread as long as the resolver waits, even after the caller has given up.
pub(crate) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = if host.to_ascii_lowercase().ends_with(".localhost") { "localhost" } else { host };
    let name = name.to_owned();
    // The semaphore is never closed.
    let permit = Arc::clone(&LOOKUPS).acquire_owned().await;
    let lookup = tokio::task::spawn_blocking(move || {
        let addresses = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
        drop(permit);
        addresses
    });
    lookup.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt;
    use tokio::net::TcpListener;

    use super::*;

    /// A connector that may reach only 127.0.0.1, and whose DNS lookups return these answers in turn.
    fn connector(answers: Vec<Vec<SocketAddr>>) -> Connector {
        let answers = Mutex::new(answers.into_iter());
        let resolve: Arc<Resolve> = Arc::new(move |host, _| {
            assert_eq!(host, "rebinding.example.com");
            let answer = answers.lock().unwrap().next().expect("another answer");
            Box::pin(async move { Ok(answer) })
        });
        let allowed = AllowedEndpoints::parse("127.0.0.1").unwrap();
        Connector { resolve, ..Connector::new(allowed, Duration::from_secs(60)) }
    }

    async fn listener(ip: &str) -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn a_changing_dns_answer_is_checked_again_at_the_next_connection() {
        let (_open, allowed) = listener("127.0.0.1").await;
        let (blocked, inside) = listener("127.0.0.2").await;
        let connector = connector(vec![vec![allowed], vec![inside], vec!["169.254.169.254:80".parse().unwrap()]]);
        let stream = connector.open("rebinding.example.com", 80).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), allowed);
        for _ in 0..2 {
            let refused = connector.open("rebinding.example.com", 80).await;
            assert!(matches!(refused, Err(ConnectError::Blocked)), "{refused:?}");
        }
        assert!(blocked.accept().now_or_never().is_none(), "there was a connection");
    }

    #[tokio::test]
    async fn of_mixed_addresses_only_permitted_ones_are_tried() {
        let (_open, allowed) = listener("127.0.0.1").await;
        let (blocked, inside) = listener("127.0.0.2").await;
        let stream = connector(vec![vec![inside, allowed, inside]]).open("rebinding.example.com", 80).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), allowed);
        assert!(blocked.accept().now_or_never().is_none(), "there was a connection");
    }
}
