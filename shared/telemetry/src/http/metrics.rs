//! Sockets by listener, and those that were closed early.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// A listener of a process, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// The API.
    Api,
    /// Health and metrics.
    Metrics,
}

impl Listening {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Metrics => "metrics",
        }
    }
}

/// The families, for all listeners of a process. Clones count together.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    open: IntGaugeVec,
    closed: IntCounterVec,
}

/// The series of one listener.
#[derive(Debug, Clone)]
pub(crate) struct ListenerMetrics {
    pub(crate) open: IntGauge,
    /// A new socket was refused: every socket is in use by a request.
    pub(crate) full: IntCounter,
    /// A new socket was refused: every socket of its address is in use by a request, or is new.
    pub(crate) peer: IntCounter,
    /// A socket that waited was closed to make room.
    pub(crate) evicted: IntCounter,
    /// The head of a request took too long.
    pub(crate) slow: IntCounter,
}

impl HttpMetrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            open: IntGaugeVec::new(Opts::new("longshore_http_connections", "Sockets of clients."), &["listener"])?,
            closed: IntCounterVec::new(
                Opts::new("longshore_http_connections_closed_total", "Sockets refused or closed early."),
                &["listener", "cause"],
            )?,
        };
        registry.register(Box::new(metrics.open.clone()))?;
        registry.register(Box::new(metrics.closed.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn of(&self, listener: Listening) -> ListenerMetrics {
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
