//! Opens TCP connections, and only to addresses the guard permits.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use super::AllowedEndpoints;

/// The connector below TLS: resolves, judges each address, connects to what is left.
#[derive(Clone)]
pub(super) struct Connector {
    allowed: Arc<AllowedEndpoints>,
    patience: Duration,
}

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
        Self { allowed: Arc::new(allowed), patience }
    }

    /// Opens a connection for a protocol other than HTTP.
    pub(super) async fn open(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        in_time(&self.allowed, host, port, self.patience).await
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
        let allowed = Arc::clone(&self.allowed);
        let patience = self.patience;
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
            Ok(TokioIo::new(in_time(&allowed, host, port, patience).await?))
        })
    }
}

async fn in_time(
    allowed: &AllowedEndpoints,
    host: &str,
    port: u16,
    patience: Duration,
) -> Result<TcpStream, ConnectError> {
    let connecting = connect(allowed, host, port, patience);
    timeout(patience, connecting).await.unwrap_or(Err(ConnectError::TimedOut))
}

async fn connect(
    allowed: &AllowedEndpoints,
    host: &str,
    port: u16,
    patience: Duration,
) -> Result<TcpStream, ConnectError> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let resolved = resolve(host, port).await.map_err(ConnectError::Unresolved)?;
    let permitted: Vec<SocketAddr> = resolved.into_iter().filter(|address| allowed.permits(host, *address)).collect();
    let Ok(count @ 1..) = u32::try_from(permitted.len()) else { return Err(ConnectError::Blocked) };

    // Each address gets its share, so that one that swallows packets leaves time for the next.
    let share = patience / count;
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

/// The addresses of a host.
///
/// The system's resolver also reads `2130706433` or `0x7f.1` as addresses: they are judged like every
/// other, by what they come out as. Names below `localhost` are this machine (RFC 6761), whether or
/// not the resolver knows it.
pub(crate) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let name = if host.to_ascii_lowercase().ends_with(".localhost") { "localhost" } else { host };
    Ok(tokio::net::lookup_host((name, port)).await?.collect())
}
