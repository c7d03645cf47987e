//! What every attempt of this worker shares.

use std::sync::Arc;

use anyhow::Result;
use longshore_db::host::{Host, Native};
use longshore_db::{Check, Db, Sealer};
use longshore_storage::{AllowedEndpoints, StorageMetrics, Stores, Timeouts, WireOptions};
use prometheus::Registry;
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::availability::Availability;
use crate::config::Config;
use crate::leases::Leases;
use crate::memory::MemoryBudget;
use crate::metrics::JobMetrics;
use crate::slots::Slots;

/// Database connections beside one per running job: heartbeat, claims, look-ups of pages in preparation.
const SPARE_CONNECTIONS: usize = 4;

/// What every attempt of this worker shares.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) db: Db,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) stores: Stores,
    pub(crate) metrics: JobMetrics,
    pub(crate) leases: Leases,
    /// Tells claims of this process from those of any other, whatever the workers are named.
    pub(crate) process: Uuid,
    pub(crate) database: Availability,
    /// Shared by attempts, and taken whole by one that runs alone.
    pub(crate) alone: RwLock<()>,
    pub(crate) memory: MemoryBudget,
    /// Cancelled on SIGTERM: finish the page, take nothing new.
    pub(crate) stop: CancellationToken,
}

impl Context {
    /// Sets up what attempts share. Opens no connection.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub(crate) fn new(config: Config, registry: &Registry, stop: CancellationToken) -> Result<Self> {
        let metrics = JobMetrics::register(registry)?;
        let patience = config.storage_patience;
        let wire = WireOptions {
            allowed: AllowedEndpoints::parse(&config.allowed_endpoints)?,
            timeouts: Timeouts { head: patience, idle: patience, ..Timeouts::default() },
            ..WireOptions::default()
        };
        let stores = Stores::new(wire, config.operator.clone(), StorageMetrics::register(registry)?)?;
        // Jobs of both queues at once.
        let connections = usize::from(Slots::total(config.jobs)) * 2 + SPARE_CONNECTIONS;
        let check = Check::AfterIdle;
        let db = Db::new(&config.database_url, "longshore-worker", connections, config.database_patience, check)?;
        Ok(Self {
            db,
            host: Arc::new(Native::new(Sealer::parse(&config.secret_keys)?)),
            stores,
            memory: MemoryBudget::new(config.memory_bytes, metrics.clone()),
            metrics,
            leases: Leases::default(),
            process: Uuid::new_v4(),
            database: Availability::new(),
            alone: RwLock::new(()),
            config,
            stop,
        })
    }
}
