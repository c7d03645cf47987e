//! HTTP listeners, and the rules for how long a client may hold a socket.
//!
//! A client that has not been authenticated holds its socket only until another client needs it. So clients that open
//! sockets and send nothing, or never finish a head, cannot block a listener: the socket that waited longest is
//! closed for a new one. A handler that accepts a request calls [`ClientConnection::hold`], and its own limits bound
//! how many requests it accepts.

mod accept;
mod clients;
mod limits;
mod metrics;
mod phase;
mod routes;
mod security_headers;
mod sent;
mod serve;

pub use clients::{ClientConnection, ClientConnections, SocketHold, client_network};
pub use limits::ConnectionLimits;
pub use metrics::{HttpMetrics, ListenerName};
pub use routes::{health_router, router};
pub use security_headers::{Embeddable, add_security_headers};
pub use sent::keep_until_sent;
pub use serve::{LARGEST_HEAD, serve};
