//! What every process shows of itself: logs, metrics, health, and an orderly end.
//!
//! Nothing here knows jobs or storages, reads the environment or decides a policy: a binary passes
//! in values, and each crate brings its own metrics and checks.

mod health;
mod logs;
mod metrics;
mod serve;
mod shutdown;

pub use health::{Health, Readiness};
pub use logs::{LogFormat, LogsError, init_logs};
pub use metrics::Metrics;
pub use serve::{router, serve};
pub use shutdown::{Ending, ShutdownError, Tasks};
