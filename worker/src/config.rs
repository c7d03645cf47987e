//! The one place where the worker reads its environment.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use longshore_model::Secret;
use longshore_storage::Operator;

/// Everything that an operator sets.
#[derive(Debug)]
pub struct Config {
    /// `DATABASE_URL`.
    pub database_url: Secret,
    /// `AMQP_URL`.
    pub amqp_url: Secret,
    /// `LONGSHORE_SECRET_KEYS`.
    pub secret_keys: Secret,
    /// `LONGSHORE_METRICS_LISTEN`: health and metrics.
    pub listen: SocketAddr,
    /// `LONGSHORE_CONNECTIONS`: sockets of clients at once: probes and scrapers are few.
    pub connections: usize,
    /// `LONGSHORE_PEER_CONNECTIONS`: sockets of one address at once; three quarters of them by default.
    pub peer_connections: Option<usize>,
    /// `LONGSHORE_ALLOWED_ENDPOINTS`.
    pub allowed_endpoints: String,
    /// What the environment says about storages.
    pub operator: Operator,
    /// `LONGSHORE_LOG` and `LONGSHORE_LOG_FORMAT`.
    pub log_filter: String,
    pub log_format: String,
    /// `LONGSHORE_WORKER`: the name in leases and logs; host name and process id by default.
    pub name: String,
    /// `LONGSHORE_JOBS`: jobs at once per queue; for every four of them one more in passing, so that small
    /// ones need not wait for giants. Each holds one connection while it commits.
    pub jobs: u16,
    /// `LONGSHORE_GETS`: objects read or written at once per job.
    pub transfers: usize,
    /// `LONGSHORE_MEMORY_MB`: bytes that objects may take, over all jobs. Three quarters are handed out: the
    /// allocator keeps some of what was freed.
    pub memory_bytes: u64,
    /// `LONGSHORE_LEASE_SECONDS`: how long a silent worker keeps a job. Shorter finds a dead worker
    /// sooner; too short takes jobs from one that only waits for a slow database.
    pub lease: Duration,
    /// `LONGSHORE_QUANTUM_SECONDS`: how long a job runs before it goes to the back of the queue.
    pub quantum: Duration,
    /// `LONGSHORE_SPLIT_AFTER_PAGES`: after so many pages a job with more ahead gives parts of its
    /// range to idle workers; 0 is never. Small buckets are not worth the probes, which are LIST requests.
    pub split_after_pages: u32,
    /// `LONGSHORE_DATABASE_PATIENCE_SECONDS`: how long the database may be silent in the middle of
    /// some work, such as the commit of a page, before its connection counts as dead.
    pub database_patience: Duration,
    /// `LONGSHORE_STORAGE_PATIENCE_SECONDS`: how long a storage may be silent before a request
    /// counts as failed; listing a bucket with millions of delete markers can take 20 s.
    pub storage_patience: Duration,
    /// `LONGSHORE_DRAIN_SECONDS`: how long a page may take to finish after SIGTERM; below the
    /// grace period of Kubernetes, 30 s.
    pub drain: Duration,
    /// `LONGSHORE_MAX_FAILURES`: failures in a row without progress before a job is discarded.
    pub max_failures: i32,
}

/// Sockets of clients at once. Each may take 32 KiB, and a probe or a scrape is over within a moment: more would
/// only be held by clients that send nothing; fewer could refuse a second scraper.
const CONNECTIONS: usize = 256;

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// Names every variable that is missing, or the one that cannot be understood.
    pub fn from_env() -> Result<Self> {
        let missing: Vec<&str> = ["DATABASE_URL", "AMQP_URL", "LONGSHORE_SECRET_KEYS"]
            .into_iter()
            .filter(|name| variable(name).is_none())
            .collect();
        anyhow::ensure!(missing.is_empty(), "these environment variables must be set: {}", missing.join(", "));

        let secret = |name| Secret::new(variable(name).unwrap_or_default());
        let name = variable("LONGSHORE_WORKER").unwrap_or_else(|| {
            format!("{}-{}", variable("HOSTNAME").unwrap_or_else(|| "worker".to_owned()), std::process::id())
        });
        Ok(Self {
            database_url: secret("DATABASE_URL"),
            amqp_url: secret("AMQP_URL"),
            secret_keys: secret("LONGSHORE_SECRET_KEYS"),
            listen: parsed("LONGSHORE_METRICS_LISTEN", SocketAddr::from(([0, 0, 0, 0], 9090)))?,
            connections: parsed("LONGSHORE_CONNECTIONS", NonZeroUsize::new(CONNECTIONS).unwrap_or(NonZeroUsize::MIN))?
                .get(),
            peer_connections: variable("LONGSHORE_PEER_CONNECTIONS")
                .map(|_| parsed("LONGSHORE_PEER_CONNECTIONS", NonZeroUsize::MIN).map(NonZeroUsize::get))
                .transpose()?,
            allowed_endpoints: variable("LONGSHORE_ALLOWED_ENDPOINTS").unwrap_or_default(),
            operator: Operator::read(variable),
            log_filter: variable("LONGSHORE_LOG").unwrap_or_else(|| "info".to_owned()),
            log_format: variable("LONGSHORE_LOG_FORMAT").unwrap_or_else(|| "json".to_owned()),
            name,
            jobs: parsed("LONGSHORE_JOBS", 8)?,
            transfers: parsed("LONGSHORE_GETS", 32)?,
            memory_bytes: parsed::<u64>("LONGSHORE_MEMORY_MB", 128)? * 1024 * 1024,
            lease: seconds("LONGSHORE_LEASE_SECONDS", 60.0)?,
            quantum: seconds("LONGSHORE_QUANTUM_SECONDS", 5.0)?,
            split_after_pages: parsed("LONGSHORE_SPLIT_AFTER_PAGES", 2)?,
            database_patience: seconds("LONGSHORE_DATABASE_PATIENCE_SECONDS", longshore_db::PATIENCE.as_secs_f64())?,
            storage_patience: seconds("LONGSHORE_STORAGE_PATIENCE_SECONDS", 30.0)?,
            drain: seconds("LONGSHORE_DRAIN_SECONDS", 25.0)?,
            max_failures: parsed("LONGSHORE_MAX_FAILURES", 10)?,
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn parsed<T: FromStr>(name: &str, default: T) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    variable(name).map_or(Ok(default), |text| text.parse().with_context(|| format!("{name} cannot be understood")))
}

fn seconds(name: &str, default: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(parsed(name, default)?).with_context(|| format!("{name} must be a number of seconds"))
}
