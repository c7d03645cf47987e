//! HTTP listeners: who may hold a socket, and for how long.
//!
//! A client that has not been let in by a token holds its socket only until another client needs it. So
//! clients that open sockets and send nothing, or a head that never ends, cannot close a listener: the one
//! that waited longest is closed for a new one. A handler that lets a request in says so by
//! [`ClientConnection::hold`], and bounds by its own limits how many it lets in.

mod accept;
mod clients;
mod limits;
mod metrics;
mod phase;
mod routes;
mod sent;
mod serve;

pub use clients::{ClientConnection, ClientConnections, Held};
pub use limits::ConnectionLimits;
pub use metrics::{HttpMetrics, Listening};
pub use routes::router;
pub use sent::keep_until_sent;
pub use serve::{LARGEST_HEAD, serve};
