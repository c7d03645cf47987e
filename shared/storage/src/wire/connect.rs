//! Opens TCP connections, and only to addresses the guard permits.

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

/// The connector below TLS: resolves, judges each address, connects to what is left.
#[derive(Clone)]
pub(super) struct Connector {
    allowed: Arc<AllowedEndpoints>,
    patience: Duration,
    /// Asked again for every connection, since an answer may change. Tests replace [`resolve`] here.
    resolve: Arc<Resolve>,
}

/// Name look-ups at once. More, and slow name servers of one storage could take all threads for what blocks; fewer, and a
/// few of them would keep all other storages from connecting.
static LOOK_UPS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(8)));

type Resolve = dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the host resolves to blocked addresses only")]
    Blocked,
    #[error("the host name does not resolve")]
    Unresolved(#[source] io::Error),
    #[error("no address of the host accepts connections")]
    Refused(#[source] io::Error),
    #[error("no connection in time")]
    TimedOut,
}

impl Connector {
    /// `patience` bounds resolving and connecting together.
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

        // Each address gets its share, so that one that swallows packets leaves time for the next.
        let share = self.patience / count;
        let mut last = ConnectError::TimedOut;
        for address in permitted {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Requests go out in one write; waiting to fill a packet only adds latency.
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

/// The addresses of a host.
///
/// The system's resolver also reads `2130706433` or `0x7f.1` as addresses: they are judged like every
/// other, by what they come out as. Names below `localhost` are this machine (RFC 6761), whether or
/// not the resolver knows it.
///
/// A look-up blocks its thread for as long as the resolver waits, also after the caller has given up.
pub(crate) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = if host.to_ascii_lowercase().ends_with(".localhost") { "localhost" } else { host };
    let name = name.to_owned();
    // Never closed.
    let permit = Arc::clone(&LOOK_UPS).acquire_owned().await;
    let looking = tokio::task::spawn_blocking(move || {
        let addresses = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
        drop(permit);
        addresses
    });
    looking.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt;
    use tokio::net::TcpListener;

    use super::*;

    /// A connector that may reach 127.0.0.1 alone, and whose questions to DNS get these answers in turn.
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
    async fn an_answer_of_dns_that_changes_is_judged_again_at_the_next_connection() {
        let (_open, allowed) = listener("127.0.0.1").await;
        let (blocked, inside) = listener("127.0.0.2").await;
        let connector = connector(vec![vec![allowed], vec![inside], vec!["169.254.169.254:80".parse().unwrap()]]);
        let stream = connector.open("rebinding.example.com", 80).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), allowed);
        for _ in 0..2 {
            let refused = connector.open("rebinding.example.com", 80).await;
            assert!(matches!(refused, Err(ConnectError::Blocked)), "{refused:?}");
        }
        assert!(blocked.accept().now_or_never().is_none(), "nobody came");
    }

    #[tokio::test]
    async fn of_an_answer_with_both_kinds_of_addresses_only_permitted_ones_are_tried() {
        let (_open, allowed) = listener("127.0.0.1").await;
        let (blocked, inside) = listener("127.0.0.2").await;
        let stream = connector(vec![vec![inside, allowed, inside]]).open("rebinding.example.com", 80).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), allowed);
        assert!(blocked.accept().now_or_never().is_none(), "nobody came");
    }
}
