//! What this process asked of storages. Labels are made from enums alone: no key, bucket or host.

use longshore_model::StorageKind;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};
use tokio::time::Instant;

use crate::{ErrorKind, Op, StorageError};

/// Upper bounds in seconds: a healthy list or get takes 0.02 to 0.2 s, 30 s is the time-out.
const BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The counters of all storages of a process. Clones count together.
#[derive(Clone)]
pub struct StorageMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    retries: IntCounterVec,
    received: IntCounter,
    sent: IntCounter,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Ok,
    NotFound,
    Denied,
    Invalid,
    Throttled,
    Unavailable,
    Cancelled,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotFound => "not_found",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<ErrorKind> for Outcome {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::Invalid => Self::Invalid,
            ErrorKind::Throttled { .. } => Self::Throttled,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Cancelled => Self::Cancelled,
        }
    }
}

impl StorageMetrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// The registry has families of these names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let metrics = Self {
            requests: counter(
                "longshore_storage_requests_total",
                "Requests sent to storages, retries included.",
                &["kind", "op", "outcome"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new("longshore_storage_request_duration_seconds", "Request to end of answer.")
                    .buckets(BUCKETS.to_vec()),
                &["kind", "op", "outcome"],
            )?,
            retries: counter(
                "longshore_storage_retries_total",
                "Requests that repeat one that failed.",
                &["kind", "op"],
            )?,
            received: IntCounter::new("longshore_storage_received_bytes_total", "Bytes of answers' bodies.")?,
            sent: IntCounter::new("longshore_storage_sent_bytes_total", "Bytes of requests' bodies.")?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.retries.clone()))?;
        registry.register(Box::new(metrics.received.clone()))?;
        registry.register(Box::new(metrics.sent.clone()))?;
        for (kind, op) in StorageKind::ALL.iter().flat_map(|kind| Op::ALL.iter().map(move |op| (kind, op))) {
            let labels = [kind.as_str(), op.as_str()];
            // A rate over a series that appears with its first failure misses that failure.
            metrics.retries.with_label_values(&labels);
            metrics.requests.with_label_values(&[labels[0], labels[1], Outcome::Ok.as_str()]);
        }
        Ok(metrics)
    }

    /// Counts a request as cancelled unless [`Running::ended`] says otherwise.
    pub(crate) fn start(&self, kind: StorageKind, op: Op) -> Running<'_> {
        Running { metrics: self, kind, op, outcome: Outcome::Cancelled, started: Instant::now() }
    }

    pub(crate) fn retried(&self, kind: StorageKind, op: Op) {
        self.retries.with_label_values(&[kind.as_str(), op.as_str()]).inc();
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.received.inc_by(bytes);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.inc_by(bytes);
    }
}

/// A request under way; dropped early, it counts as cancelled instead of not at all.
pub(crate) struct Running<'a> {
    metrics: &'a StorageMetrics,
    kind: StorageKind,
    op: Op,
    outcome: Outcome,
    started: Instant,
}

impl Running<'_> {
    pub(crate) fn ended<T>(mut self, result: &Result<T, StorageError>) {
        self.outcome = match result {
            Ok(_) => Outcome::Ok,
            Err(error) => error.kind.into(),
        };
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let labels = [self.kind.as_str(), self.op.as_str(), self.outcome.as_str()];
        self.metrics.requests.with_label_values(&labels).inc();
        self.metrics.seconds.with_label_values(&labels).observe(self.started.elapsed().as_secs_f64());
    }
}
