//! The worker's configuration. Defaults and descriptions are in `longshore_telemetry::settings::table`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use longshore_model::Secret;
use longshore_storage::Operator;
use longshore_telemetry::LogSettings;
use longshore_telemetry::settings::{Environment, InvalidSettings, Program, table};

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
    /// `LONGSHORE_CONNECTIONS`: open client sockets. Each may take 32 KiB, and a probe or a scrape is
    /// over within a moment: more would only be held by clients that send nothing; fewer could refuse a second scraper.
    pub connections: usize,
    /// `LONGSHORE_PEER_CONNECTIONS`: open sockets of one address; three quarters of all by default.
    pub peer_connections: Option<usize>,
    /// `LONGSHORE_ALLOWED_ENDPOINTS`.
    pub allowed_endpoints: String,
    /// What the environment says about storages.
    pub operator: Operator,
    pub logs: LogSettings,
    /// `LONGSHORE_WORKER`: the name in leases and logs; host name and process id by default.
    pub name: String,
    /// `LONGSHORE_JOBS`: concurrent jobs per queue, plus one short slot per four, so that small jobs are not stuck
    /// behind large ones. Each holds one database connection while it commits.
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
    /// `LONGSHORE_SPLIT_AFTER_PAGES`: after this many pages a job that has more splits its
    /// range for idle workers; 0 is never. Small buckets are not worth the probes, which are LIST requests.
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

impl Config {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// Names every setting at fault.
    pub fn from_env() -> Result<Self, InvalidSettings> {
        Self::read(Environment::of_process(Program::Worker))
    }

    fn read(mut read: Environment<'_>) -> Result<Self, InvalidSettings> {
        let secret = |text: Option<String>| Secret::new(text.unwrap_or_default());
        let config = Self {
            database_url: secret(read.text(&table::DATABASE_URL)),
            amqp_url: secret(read.text(&table::AMQP_URL)),
            secret_keys: secret(read.text(&table::SECRET_KEYS)),
            listen: read.parsed(&table::METRICS_LISTEN).unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0))),
            connections: read.count(&table::CONNECTIONS),
            peer_connections: read.parsed(&table::PEER_CONNECTIONS).map(NonZeroUsize::get),
            allowed_endpoints: read.text(&table::ALLOWED_ENDPOINTS).unwrap_or_default(),
            operator: Operator::read(&mut read),
            logs: LogSettings::read(&mut read),
            name: read.text(&table::WORKER).unwrap_or_else(|| {
                let host = read.variable("HOSTNAME").unwrap_or_else(|| "worker".to_owned());
                format!("{host}-{}", std::process::id())
            }),
            jobs: read.number(&table::JOBS),
            transfers: read.number(&table::GETS),
            memory_bytes: read.mebibytes(&table::MEMORY_MB),
            lease: read.seconds(&table::LEASE_SECONDS),
            quantum: read.seconds(&table::QUANTUM_SECONDS),
            split_after_pages: read.number(&table::SPLIT_AFTER_PAGES),
            database_patience: read.seconds(&table::DATABASE_PATIENCE_SECONDS),
            storage_patience: read.seconds(&table::STORAGE_PATIENCE_SECONDS),
            drain: read.seconds(&table::DRAIN_SECONDS),
            max_failures: read.number(&table::MAX_FAILURES),
        };
        read.finish().map(|()| config)
    }
}
