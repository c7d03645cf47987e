//! What every process shows of itself: logs, metrics, health, and an orderly end.
//!
//! Nothing here knows jobs or storages, reads the environment or decides a policy: a binary passes
//! in values, and each crate brings its own metrics and checks.

mod allocator;
mod health;
mod http;
mod logs;
mod metrics;
mod open_files;
mod sending;
mod shutdown;

pub use allocator::tune_allocator;
pub use health::{Health, Readiness};
pub use http::{
    ClientConnection, ClientConnections, ConnectionLimits, Held, HttpMetrics, LARGEST_HEAD, Listening, keep_until_sent,
    router, serve,
};
pub use logs::{LogFormat, LogsError, init_logs};
pub use metrics::Metrics;
pub use open_files::raise_open_files;
pub use sending::SEND;
pub use shutdown::{Ending, ShutdownError, Tasks};
