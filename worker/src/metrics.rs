//! Metrics of this process. The scheduler exports the metrics that come from tables.
//!
//! All label values come from enums, so all series are known at compile time: no key, bucket or error text is a label.

use longshore_db::quarantine::QuarantinedObject;
use longshore_db::{Counts, Db};
use longshore_model::{JobKind, QuarantineReason};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use tokio::time::Instant;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Completed,
    Released,
    Retried,
    Discarded,
    /// The lease was lost, or the end could not be recorded.
    Left,
    /// A panic or a cancelled tokio task ended it.
    Abandoned,
}

impl Ending {
    const ALL: [Self; 6] =
        [Self::Completed, Self::Released, Self::Retried, Self::Discarded, Self::Left, Self::Abandoned];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Released => "released",
            Self::Retried => "retried",
            Self::Discarded => "discarded",
            Self::Left => "left",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The worker's metric families.
#[derive(Clone)]
pub(crate) struct JobMetrics {
    running: IntGaugeVec,
    attempts: IntCounterVec,
    duration: HistogramVec,
    pages: HistogramVec,
    tasks: IntCounter,
    objects: IntCounterVec,
    quarantined: IntCounterVec,
    pub(crate) leases_lost: IntCounter,
    pub(crate) commits_lost: IntCounter,
    pub(crate) commit: Histogram,
    pool: IntGaugeVec,
    pub(crate) memory: IntGauge,
}

/// Seconds; from a small page on loopback to a page of slow GETs.
const BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

impl JobMetrics {
    /// Creates and registers the metric families.
    ///
    /// # Errors
    /// A family is already registered.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        let metrics = Self {
            running: IntGaugeVec::new(Opts::new("longshore_jobs_running", "Running attempts."), &["kind"])?,
            attempts: IntCounterVec::new(
                Opts::new("longshore_job_attempts_total", "Ended attempts, by job kind and ending."),
                &["kind", "ending"],
            )?,
            duration: HistogramVec::new(
                histogram("longshore_job_attempt_duration_seconds", "Duration of attempts."),
                &["kind"],
            )?,
            pages: HistogramVec::new(
                histogram("longshore_page_duration_seconds", "Time to list, read and prepare a page."),
                &["kind"],
            )?,
            tasks: IntCounter::new("longshore_tasks_created_total", "Tasks committed.")?,
            objects: IntCounterVec::new(
                Opts::new("longshore_objects_total", "Objects processed, by outcome."),
                &["outcome"],
            )?,
            quarantined: IntCounterVec::new(
                Opts::new("longshore_quarantined_total", "Objects, annotations and tasks quarantined, by reason."),
                &["reason"],
            )?,
            leases_lost: IntCounter::new(
                "longshore_leases_lost_total",
                "Attempts that ended because they lost their lease.",
            )?,
            commits_lost: IntCounter::new(
                "longshore_commits_lost_total",
                "Attempts that ended because Postgres lost confirmed commits, as after a failover.",
            )?,
            commit: Histogram::with_opts(histogram(
                "longshore_page_commit_duration_seconds",
                "Time to commit a page.",
            ))?,
            pool: IntGaugeVec::new(
                Opts::new(
                    "longshore_database_connections",
                    "Database connections of the pool, by state; waited_for counts callers that wait for one.",
                ),
                &["state"],
            )?,
            memory: IntGauge::new("longshore_object_memory_bytes", "Object bytes reserved by running pages.")?,
        };
        metrics.add_to(registry)?;
        metrics.begin_at_zero();
        Ok(metrics)
    }

    fn add_to(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.running.clone()))?;
        registry.register(Box::new(self.attempts.clone()))?;
        registry.register(Box::new(self.duration.clone()))?;
        registry.register(Box::new(self.pages.clone()))?;
        registry.register(Box::new(self.tasks.clone()))?;
        registry.register(Box::new(self.objects.clone()))?;
        registry.register(Box::new(self.quarantined.clone()))?;
        registry.register(Box::new(self.leases_lost.clone()))?;
        registry.register(Box::new(self.commits_lost.clone()))?;
        registry.register(Box::new(self.commit.clone()))?;
        registry.register(Box::new(self.pool.clone()))?;
        registry.register(Box::new(self.memory.clone()))?;
        Ok(())
    }

    /// Creates the series of all labels, so that zero is reported and not omitted.
    fn begin_at_zero(&self) {
        for kind in JobKind::ALL {
            self.running.with_label_values(&[kind.as_str()]);
            for ending in Ending::ALL {
                self.attempts.with_label_values(&[kind.as_str(), ending.as_str()]);
            }
        }
        for reason in QuarantineReason::ALL {
            self.quarantined.with_label_values(&[reason.as_str()]);
        }
    }

    /// Counts an attempt as running until the guard is dropped.
    pub(crate) fn start(&self, kind: JobKind) -> RunningJob {
        self.running.with_label_values(&[kind.as_str()]).inc();
        RunningJob { metrics: self.clone(), kind, ending: Ending::Abandoned, started: Instant::now() }
    }

    /// Records how long the preparation of one page took.
    pub(crate) fn page(&self, kind: JobKind, started: Instant) {
        self.pages.with_label_values(&[kind.as_str()]).observe(started.elapsed().as_secs_f64());
    }

    /// Counts a committed page.
    pub(crate) fn committed(&self, counts: &Counts, quarantined: &[QuarantinedObject]) {
        self.tasks.inc_by(unsigned(counts.created));
        for (outcome, count) in [
            ("imported", counts.imported),
            ("existed", counts.existed),
            ("vanished", counts.vanished),
            ("exported", counts.exported),
            ("unchanged", counts.unchanged),
            ("deleted", counts.deleted),
            ("kept", counts.kept),
            ("failed", counts.failed),
        ] {
            self.objects.with_label_values(&[outcome]).inc_by(unsigned(count));
        }
        for object in quarantined {
            self.quarantined.with_label_values(&[object.reason.as_str()]).inc();
        }
    }

    /// Updates the gauges of the connection pool.
    pub(crate) fn observe_pool(&self, db: &Db) {
        let status = db.pool_status();
        for (state, count) in [("open", status.size), ("idle", status.available), ("waited_for", status.waiting)] {
            self.pool.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

/// A running attempt.
pub(crate) struct RunningJob {
    metrics: JobMetrics,
    kind: JobKind,
    ending: Ending,
    started: Instant,
}

impl RunningJob {
    /// Records how the attempt ended.
    pub(crate) fn end(mut self, ending: Ending) {
        self.ending = ending;
    }
}

/// An attempt that a panic or a cancelled tokio task ends counts as abandoned.
impl Drop for RunningJob {
    fn drop(&mut self) {
        let kind = self.kind.as_str();
        self.metrics.running.with_label_values(&[kind]).dec();
        self.metrics.attempts.with_label_values(&[kind, self.ending.as_str()]).inc();
        self.metrics.duration.with_label_values(&[kind]).observe(self.started.elapsed().as_secs_f64());
    }
}
