//! The options of the client.

use std::time::Duration;

use super::{AllowedEndpoints, Concurrency, RetryPolicy};

/// Time limits for the steps of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For name resolution and TCP connect together.
    pub connect: Duration,
    /// From sending the request to receiving the head of the answer, including the TLS handshake.
    pub head: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
}

impl Default for Timeouts {
    /// Connecting across the world takes under a second, so a host that needs more than 5 s is unreachable. A listing
    /// of a bucket with millions of delete markers can take 20 s to its first byte, so after 30 s the server is
    /// considered dead.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), head: Duration::from_secs(30), idle: Duration::from_secs(30) }
    }
}

/// The options that an operator or a test sets.
#[derive(Debug, Clone, Default)]
pub struct WireOptions {
    /// Private addresses that connections may reach.
    pub allowed: AllowedEndpoints,
    pub retry: RetryPolicy,
    pub timeouts: Timeouts,
    pub concurrency: Concurrency,
}
