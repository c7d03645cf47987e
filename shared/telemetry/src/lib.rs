//! What every process shows of itself: logs, metrics, health, and an orderly end.
//!
//! Nothing here knows jobs or storages. What every crate would otherwise write for itself has its home here: the chain
//! of causes, the wait between attempts, trusted certificates and the table of settings.

mod allocator;
mod backoff;
mod error_chain;
mod health;
mod http;
mod logs;
mod metrics;
mod open_files;
mod sending;
pub mod settings;
mod shutdown;
mod tls;

pub use allocator::tune_allocator;
pub use backoff::Backoff;
pub use error_chain::{causes, error_chain};
pub use health::{Health, Readiness};
pub use http::{
    ClientConnection, ClientConnections, ConnectionLimits, Held, HttpMetrics, LARGEST_HEAD, Listening, keep_until_sent,
    router, serve,
};
pub use logs::{LogFormat, LogSettings, LogsError, init_logs};
pub use metrics::Metrics;
pub use open_files::raise_open_files;
pub use sending::SEND;
pub use shutdown::{Ending, ShutdownError, Tasks};
pub use tls::tls_config;
