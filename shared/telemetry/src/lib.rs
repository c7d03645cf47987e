//! What every process needs to run: logs, metrics, health, HTTP listeners, settings and shutdown.
//!
//! Nothing here depends on jobs or storages. Concepts that every crate would otherwise implement itself have their
//! home here: the chain of causes, the wait between retries, trusted certificates, the table of settings, and what a
//! process waits for.

mod allocator;
mod backoff;
mod error_chain;
mod findings;
mod health;
mod http;
mod logs;
mod loopback;
mod metrics;
mod open_files;
mod send_timeout;
pub mod settings;
mod shutdown;
mod tls;
mod tls_refusal;
pub mod waiting;

pub use allocator::tune_allocator;
pub use backoff::Backoff;
pub use error_chain::{causes, error_chain};
pub use findings::{Finding, Findings};
pub use health::{Health, Readiness};
pub use http::{
    ClientConnection, ClientConnections, ConnectionLimits, Embeddable, HttpMetrics, LARGEST_HEAD, ListenerName,
    SocketHold, add_security_headers, client_network, health_router, keep_until_sent, router, serve,
};
pub use logs::{LogFormat, LogSettings, LogsError, init_logs};
pub use loopback::is_loopback;
pub use metrics::Metrics;
pub use open_files::raise_open_files;
pub use send_timeout::SEND_TIMEOUT;
pub use shutdown::{ShutdownError, TaskOutput, Tasks};
pub use tls::{TlsError, TlsOptions, tls_config, tls_config_of, tls_config_without_trust};
pub use tls_refusal::TlsRefusal;
