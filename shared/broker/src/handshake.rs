//! Opens one connection within a time limit, without leaving a thread or socket behind.

use longshore_telemetry::error_chain;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lapin::tcp::AsyncTcpStream;
use lapin::{Connection, ConnectionProperties, runtime};

use crate::Address;
use crate::error::{BrokerError, failed};

/// Time limit for name resolution, TCP, TLS and the AMQP handshake together. If it is shorter, a broker that is busy
/// recovering its queues never accepts a client; if it is longer, a dead address delays the next attempt.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Opens a connection, or gives up after a time limit.
pub(crate) async fn open(address: &Address, name: &str) -> Result<Connection, BrokerError> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let runtime = runtime::default_runtime().map_err(failed("find the runtime"))?;
    let socket = Arc::new(OnceLock::<TcpStream>::new());
    let slot = Arc::clone(&socket);
    let (target, tls) = (address.clone(), address.tls.clone());
    let connecting = Connection::connector(
        address.uri.clone(),
        runtime,
        async move |_uri, runtime| {
            tokio::time::timeout(TIMEOUT, async {
                let host = target.host_name();
                let addresses: Vec<_> = tokio::net::lookup_host((host, target.uri.authority.port)).await?.collect();
                let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
                if let AsyncTcpStream::Plain(plain) = &stream {
                    let twin = TcpStream::from(plain.get_ref().as_fd().try_clone_to_owned()?);
                    twin.set_nodelay(true)?;
                    slot.get_or_init(|| twin);
                }
                match &tls {
                    None => Ok(stream),
                    Some(connector) => stream.into_rustls(connector, host).await,
                }
            })
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(lapin::Error::from)
        },
        properties,
    );
    match tokio::time::timeout(TIMEOUT, connecting).await {
        Ok(result) => result.map_err(failed("connect")),
        Err(_) => {
            // lapin runs one thread per connection, which waits for a reply without a limit. A peer that accepts the
            // connection and stays silent would cost a thread and a socket at every attempt.
            if let Some(socket) = socket.get()
                && let Err(error) = socket.shutdown(Shutdown::Both)
            {
                tracing::debug!(
                    event = "broker_socket_closed",
                    error = error_chain(&error),
                    "socket of a failed connection was already closed"
                );
            }
            Err(BrokerError::TimedOut { op: "connect" })
        }
    }
}
