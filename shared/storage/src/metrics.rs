//! Metrics of the calls to storages. Labels come from enums only: no key, bucket or host.

use longshore_model::StorageKind;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};
use tokio::time::Instant;

use crate::{ErrorKind, Op, StorageError};

/// Upper bounds in seconds: a healthy list or get takes 0.02 to 0.2 s; the timeout is 30 s.
const BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The metrics of all storages of a process. Clones share them.
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
    /// Creates the metrics and registers them.
    ///
    /// # Errors
    /// The registry already has metrics with these names.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let metrics = Self {
            requests: counter(
                "longshore_storage_requests_total",
                "Requests sent to storages, including retries.",
                &["kind", "op", "outcome"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new(
                    "longshore_storage_request_duration_seconds",
                    "Time from request to end of answer, in seconds.",
                )
                .buckets(BUCKETS.to_vec()),
                &["kind", "op", "outcome"],
            )?,
            retries: counter(
                "longshore_storage_retries_total",
                "Retries of failed requests to storages.",
                &["kind", "op"],
            )?,
            received: IntCounter::new(
                "longshore_storage_received_bytes_total",
                "Bytes received in bodies of answers from storages.",
            )?,
            sent: IntCounter::new(
                "longshore_storage_sent_bytes_total",
                "Bytes sent in bodies of requests to storages.",
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.retries.clone()))?;
        registry.register(Box::new(metrics.received.clone()))?;
        registry.register(Box::new(metrics.sent.clone()))?;
        for (kind, op) in StorageKind::ALL.iter().flat_map(|kind| Op::ALL.iter().map(move |op| (kind, op))) {
            let labels = [kind.as_str(), op.as_str()];
            // `rate()` misses the first failure if it creates the series.
            metrics.retries.with_label_values(&labels);
            metrics.requests.with_label_values(&[labels[0], labels[1], Outcome::Ok.as_str()]);
        }
        Ok(metrics)
    }

    /// Starts timing a request. It counts as cancelled unless [`RequestTimer::finish`] is called.
    pub(crate) fn start(&self, kind: StorageKind, op: Op) -> RequestTimer<'_> {
        RequestTimer { metrics: self, kind, op, outcome: Outcome::Cancelled, started: Instant::now() }
    }

    pub(crate) fn count_retry(&self, kind: StorageKind, op: Op) {
        self.retries.with_label_values(&[kind.as_str(), op.as_str()]).inc();
    }

    pub(crate) fn add_received(&self, bytes: u64) {
        self.received.inc_by(bytes);
    }

    pub(crate) fn add_sent(&self, bytes: u64) {
        self.sent.inc_by(bytes);
    }
}

/// A request in progress; if it is dropped early, it counts as cancelled.
pub(crate) struct RequestTimer<'a> {
    metrics: &'a StorageMetrics,
    kind: StorageKind,
    op: Op,
    outcome: Outcome,
    started: Instant,
}

impl RequestTimer<'_> {
    pub(crate) fn finish<T>(mut self, result: &Result<T, StorageError>) {
        self.outcome = match result {
            Ok(_) => Outcome::Ok,
            Err(error) => error.kind.into(),
        };
    }
}

impl Drop for RequestTimer<'_> {
    fn drop(&mut self) {
        let labels = [self.kind.as_str(), self.op.as_str(), self.outcome.as_str()];
        self.metrics.requests.with_label_values(&labels).inc();
        self.metrics.seconds.with_label_values(&labels).observe(self.started.elapsed().as_secs_f64());
    }
}
