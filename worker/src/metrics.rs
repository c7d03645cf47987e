//! What this process did. What the tables hold is the scheduler's to report.
//!
//! Labels are made from enums alone, so every series is known when the code compiles: no key, no
//! bucket, no error text.

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
    /// The lease was lost, or the database could not be told.
    Left,
    /// Dropped early, by a panic or a cancelled task.
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
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// A family is registered already.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        let metrics = Self {
            running: IntGaugeVec::new(Opts::new("longshore_jobs_running", "Attempts running now."), &["kind"])?,
            attempts: IntCounterVec::new(
                Opts::new("longshore_job_attempts_total", "Attempts by kind of job and ending."),
                &["kind", "ending"],
            )?,
            duration: HistogramVec::new(
                histogram("longshore_job_attempt_duration_seconds", "How long attempts ran."),
                &["kind"],
            )?,
            pages: HistogramVec::new(
                histogram("longshore_page_duration_seconds", "How long a page took to list, read and prepare."),
                &["kind"],
            )?,
            tasks: IntCounter::new("longshore_tasks_created_total", "Tasks committed.")?,
            objects: IntCounterVec::new(
                Opts::new("longshore_objects_total", "Objects by what became of them."),
                &["outcome"],
            )?,
            quarantined: IntCounterVec::new(
                Opts::new("longshore_quarantined_total", "Objects and annotations set aside, by reason."),
                &["reason"],
            )?,
            leases_lost: IntCounter::new(
                "longshore_leases_lost_total",
                "Attempts ended because their lease was lost.",
            )?,
            commits_lost: IntCounter::new(
                "longshore_commits_lost_total",
                "Attempts ended because the database lacked commits that it had confirmed, as after a failover.",
            )?,
            commit: Histogram::with_opts(histogram(
                "longshore_page_commit_duration_seconds",
                "How long a page took to commit.",
            ))?,
            pool: IntGaugeVec::new(
                Opts::new("longshore_database_connections", "Connections of the pool by state."),
                &["state"],
            )?,
            memory: IntGauge::new("longshore_object_memory_bytes", "Bytes of objects reserved by running pages.")?,
        };
        for kind in JobKind::ALL {
            metrics.running.with_label_values(&[kind.as_str()]);
            for ending in Ending::ALL {
                metrics.attempts.with_label_values(&[kind.as_str(), ending.as_str()]);
            }
        }
        for reason in QuarantineReason::ALL {
            metrics.quarantined.with_label_values(&[reason.as_str()]);
        }
        registry.register(Box::new(metrics.running.clone()))?;
        registry.register(Box::new(metrics.attempts.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.pages.clone()))?;
        registry.register(Box::new(metrics.tasks.clone()))?;
        registry.register(Box::new(metrics.objects.clone()))?;
        registry.register(Box::new(metrics.quarantined.clone()))?;
        registry.register(Box::new(metrics.leases_lost.clone()))?;
        registry.register(Box::new(metrics.commits_lost.clone()))?;
        registry.register(Box::new(metrics.commit.clone()))?;
        registry.register(Box::new(metrics.pool.clone()))?;
        registry.register(Box::new(metrics.memory.clone()))?;
        Ok(metrics)
    }

    /// Counts an attempt as running until the guard ends or is dropped.
    pub(crate) fn start(&self, kind: JobKind) -> RunningJob {
        self.running.with_label_values(&[kind.as_str()]).inc();
        RunningJob { metrics: self.clone(), kind, ending: Ending::Abandoned, started: Instant::now() }
    }

    /// Times the preparation of one page.
    pub(crate) fn page(&self, kind: JobKind, started: Instant) {
        self.pages.with_label_values(&[kind.as_str()]).observe(started.elapsed().as_secs_f64());
    }

    /// Counts a committed page.
    pub(crate) fn committed(&self, counts: &Counts, reasons: impl Iterator<Item = QuarantineReason>) {
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
        for reason in reasons {
            self.quarantined.with_label_values(&[reason.as_str()]).inc();
        }
    }

    /// Shows how the pool stands.
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

/// An attempt that runs.
pub(crate) struct RunningJob {
    metrics: JobMetrics,
    kind: JobKind,
    ending: Ending,
    started: Instant,
}

impl RunningJob {
    /// Says how the attempt ended.
    pub(crate) fn end(mut self, ending: Ending) {
        self.ending = ending;
    }
}

/// Dropped early, by a panic or a cancelled task, an attempt counts as abandoned instead of not at all.
impl Drop for RunningJob {
    fn drop(&mut self) {
        let kind = self.kind.as_str();
        self.metrics.running.with_label_values(&[kind]).dec();
        self.metrics.attempts.with_label_values(&[kind, self.ending.as_str()]).inc();
        self.metrics.duration.with_label_values(&[kind]).observe(self.started.elapsed().as_secs_f64());
    }
}
