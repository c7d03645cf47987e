//! Metrics of sockets, by listener.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// A listener of a process, as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerName {
    /// The API.
    Api,
    /// Health and metrics.
    Metrics,
}

impl ListenerName {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Metrics => "metrics",
        }
    }
}

/// The metrics of all listeners of a process. Clones share them.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    open: IntGaugeVec,
    closed: IntCounterVec,
}

/// The metrics of one listener.
#[derive(Debug, Clone)]
pub(crate) struct ListenerMetrics {
    pub(crate) open: IntGauge,
    /// A new socket was refused: requests hold all sockets.
    pub(crate) full: IntCounter,
    /// A new socket was refused: all sockets of its address are held by requests, or new.
    pub(crate) peer: IntCounter,
    /// An idle socket was closed to make room.
    pub(crate) evicted: IntCounter,
    /// The head of a request took too long.
    pub(crate) slow: IntCounter,
}

impl HttpMetrics {
    /// Creates the metrics and registers them.
    ///
    /// # Errors
    /// They are already registered.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            open: IntGaugeVec::new(Opts::new("longshore_http_connections", "Open sockets of clients."), &["listener"])?,
            closed: IntCounterVec::new(
                Opts::new("longshore_http_connections_closed_total", "Sockets refused or closed early, by cause."),
                &["listener", "cause"],
            )?,
        };
        registry.register(Box::new(metrics.open.clone()))?;
        registry.register(Box::new(metrics.closed.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn of(&self, listener: ListenerName) -> ListenerMetrics {
        let closed = |cause| self.closed.with_label_values(&[listener.as_str(), cause]);
        ListenerMetrics {
            open: self.open.with_label_values(&[listener.as_str()]),
            full: closed("full"),
            peer: closed("peer"),
            evicted: closed("evicted"),
            slow: closed("slow"),
        }
    }
}
