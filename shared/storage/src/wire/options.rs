//! What an operator or a test decides about the client.

use std::time::Duration;

use super::{AllowedEndpoints, Concurrency, RetryPolicy};

/// How long each step of a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution and TCP connect.
    pub connect: Duration,
    /// From the request to the head of its answer, TLS handshake included.
    pub head: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
}

impl Default for Timeouts {
    /// Connecting across the world takes under a second, so 5 s is a dead host. A listing of a bucket
    /// with millions of delete markers can take 20 s to its first byte, so 30 s is a dead server.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), head: Duration::from_secs(30), idle: Duration::from_secs(30) }
    }
}

/// Everything about the client that an operator or a test decides.
#[derive(Debug, Clone, Default)]
pub struct WireOptions {
    pub allowed: AllowedEndpoints,
    pub retry: RetryPolicy,
    pub timeouts: Timeouts,
    pub concurrency: Concurrency,
}
