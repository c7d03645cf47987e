//! The worker's configuration. Defaults and descriptions are in `longshore_telemetry::settings::table`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use longshore_db::host::HostKind;
use longshore_db::host::label_studio::ExportRules;
use longshore_model::Secret;
use longshore_storage::Operator;
use longshore_telemetry::LogSettings;
use longshore_telemetry::settings::{Environment, InvalidSettings, Program, table};

/// All settings of the operator.
#[derive(Debug)]
pub struct Config {
    /// `DATABASE_URL`.
    pub database: longshore_db::Address,
    /// `AMQP_URL`, `LONGSHORE_AMQP_CA_FILE`, `LONGSHORE_ALLOW_PLAINTEXT`.
    pub broker: longshore_broker::Address,
    /// `LONGSHORE_SECRET_KEYS`.
    pub secret_keys: Secret,
    /// `LONGSHORE_METRICS_LISTEN`: health and metrics.
    pub listen: SocketAddr,
    /// `LONGSHORE_CONNECTIONS`: open client sockets. Each may take 32 KiB, and a probe or a scrape ends quickly: more
    /// sockets would only serve clients that send nothing; fewer could refuse a second scraper.
    pub connections: usize,
    /// `LONGSHORE_PEER_CONNECTIONS`: open sockets per client address; by default three quarters of all.
    pub peer_connections: Option<usize>,
    /// `LONGSHORE_ALLOWED_ENDPOINTS`.
    pub allowed_endpoints: String,
    /// `LONGSHORE_HOST`.
    pub host: HostKind,
    /// `LONGSHORE_LABEL_STUDIO_EXPORT_*`: what Label Studio's process knows of exports.
    pub exports: ExportRules,
    /// The operator's settings for storages.
    pub operator: Operator,
    /// Format and level of the logs.
    pub logs: LogSettings,
    /// `LONGSHORE_WORKER`: the name in leases and logs; by default host name and process ID.
    pub name: String,
    /// `LONGSHORE_JOBS`: concurrent jobs per queue, plus one short slot per four, so that small jobs are not stuck
    /// behind large ones. Each holds one database connection while it commits.
    pub jobs: u16,
    /// `LONGSHORE_GETS`: concurrent reads or writes of objects per job.
    pub transfers: usize,
    /// `LONGSHORE_MEMORY_MB`, in bytes: memory for objects of all jobs together. Pages get three quarters of it,
    /// because the allocator keeps some of the freed memory.
    pub memory_bytes: u64,
    /// `LONGSHORE_LEASE_SECONDS`: how long a silent worker keeps a job. A shorter lease finds a dead worker sooner; one
    /// that is too short takes jobs from a worker that only waits for a slow database.
    pub lease: Duration,
    /// `LONGSHORE_QUANTUM_SECONDS`: how long a job runs before it goes to the back of the queue.
    pub quantum: Duration,
    /// `LONGSHORE_SPLIT_AFTER_PAGES`: after this many pages, an unfinished job splits its range for idle workers; 0
    /// means never. Small buckets are not worth the probes, which are LIST requests.
    pub split_after_pages: u32,
    /// `LONGSHORE_DATABASE_PATIENCE_SECONDS`: how long the database may be silent during a transaction, such as the
    /// commit of a page, before its connection counts as dead.
    pub database_patience: Duration,
    /// `LONGSHORE_STORAGE_PATIENCE_SECONDS`: how long a storage may be silent before a request
    /// counts as failed; listing a bucket with millions of delete markers can take 20 s.
    pub storage_patience: Duration,
    /// `LONGSHORE_DRAIN_SECONDS`: how long the current page may take after SIGTERM. It must be below the grace period
    /// of Kubernetes, 30 s by default.
    pub drain: Duration,
    /// `LONGSHORE_MAX_FAILURES`: consecutive failures without progress before a job is discarded.
    pub max_failures: i32,
}

impl Config {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// Settings are missing or invalid; the error names all of them.
    pub fn from_env() -> Result<Self, InvalidSettings> {
        Self::read(Environment::of_process(Program::Worker))
    }

    fn read(mut read: Environment<'_>) -> Result<Self, InvalidSettings> {
        let secret = |text: Option<String>| Secret::new(text.unwrap_or_default());
        let config = Self {
            database: longshore_db::Address::read(&mut read),
            broker: longshore_broker::Address::read(&mut read),
            secret_keys: secret(read.text(&table::SECRET_KEYS)),
            listen: read.parsed(&table::METRICS_LISTEN).unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0))),
            connections: read.count(&table::CONNECTIONS),
            peer_connections: read.parsed(&table::PEER_CONNECTIONS).map(NonZeroUsize::get),
            allowed_endpoints: read.text(&table::ALLOWED_ENDPOINTS).unwrap_or_default(),
            host: read.parsed(&table::HOST).unwrap_or_default(),
            exports: ExportRules {
                per_task: read.is_on(&table::LABEL_STUDIO_EXPORT_TASKS),
                json_suffix: read.is_on(&table::LABEL_STUDIO_EXPORT_JSON_SUFFIX),
                exact_keys: read.is_on(&table::LABEL_STUDIO_EXPORT_EXACT_KEYS),
            },
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
