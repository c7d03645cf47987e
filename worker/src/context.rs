//! The state that all attempts of this worker share.

use std::sync::Arc;

use anyhow::Result;
use longshore_db::host::label_studio::LabelStudio;
use longshore_db::host::{Host, HostKind, Native};
use longshore_db::{Check, Db, Sealer};
use longshore_storage::{AllowedEndpoints, StorageMetrics, Stores, Timeouts, WireOptions};
use longshore_telemetry::waiting::WaitBoard;
use prometheus::Registry;
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::availability::Availability;
use crate::config::Config;
use crate::database_faults::DatabaseFaults;
use crate::leases::Leases;
use crate::memory::MemoryBudget;
use crate::metrics::JobMetrics;
use crate::slots::Slots;

/// Database connections beyond one per running job: for the heartbeat, claims, and look-ups of prefetched pages.
const SPARE_CONNECTIONS: usize = 4;

/// The state that all attempts of this worker share.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) db: Db,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) stores: Stores,
    pub(crate) metrics: JobMetrics,
    pub(crate) leases: Leases,
    /// Identifies the claims of this process; two workers may have the same name.
    pub(crate) process: Uuid,
    pub(crate) database: Availability,
    /// What is wrong with the database, as the parts of this worker see it.
    pub(crate) faults: DatabaseFaults,
    /// What this worker waits for.
    pub(crate) board: WaitBoard,
    /// Attempts share it; an attempt that runs alone takes it exclusively.
    pub(crate) alone: RwLock<()>,
    pub(crate) memory: MemoryBudget,
    /// Cancelled on SIGTERM: attempts finish their page, and no job is claimed.
    pub(crate) stop: CancellationToken,
}

/// Connections that take numbers of tasks for pages of Label Studio. Each is held for less than a millisecond.
const NUMBER_CONNECTIONS: usize = 2;

/// The host that the configuration names.
fn host(config: &Config) -> Result<Arc<dyn Host>> {
    Ok(match config.host {
        HostKind::Native => Arc::new(Native::new(Sealer::parse(&config.secret_keys)?)),
        HostKind::LabelStudio => {
            let (name, check) = ("longshore-worker-numbers", Check::AfterIdle);
            let numbers = Db::open(&config.database, name, NUMBER_CONNECTIONS, config.database_patience, check)?;
            Arc::new(LabelStudio::new(numbers, config.exports))
        }
    })
}

impl Context {
    /// Sets up the shared state. Opens no connection.
    ///
    /// # Errors
    /// The configuration is invalid.
    pub(crate) fn new(config: Config, registry: &Registry, stop: CancellationToken) -> Result<Self> {
        let metrics = JobMetrics::register(registry)?;
        let patience = config.storage_patience;
        let wire = WireOptions {
            allowed: AllowedEndpoints::parse(&config.allowed_endpoints)?,
            timeouts: Timeouts { head: patience, idle: patience, ..Timeouts::default() },
            ..WireOptions::default()
        };
        let stores = Stores::new(wire, config.operator.clone(), StorageMetrics::register(registry)?)?;
        // Jobs of both queues run concurrently.
        let connections = usize::from(Slots::total(config.jobs)) * 2 + SPARE_CONNECTIONS;
        let check = Check::AfterIdle;
        let db = Db::open(&config.database, "longshore-worker", connections, config.database_patience, check)?;
        Ok(Self {
            db,
            host: host(&config)?,
            stores,
            memory: MemoryBudget::new(config.memory_bytes, metrics.clone()),
            metrics,
            leases: Leases::default(),
            process: Uuid::new_v4(),
            database: Availability::new(),
            faults: DatabaseFaults::default(),
            board: WaitBoard::register(registry)?,
            alone: RwLock::new(()),
            config,
            stop,
        })
    }
}
