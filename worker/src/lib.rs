//! The worker: consumes jobs, talks to the storage, commits rows.
//!
//! Any number of identical workers run side by side. A message only wakes one of them; the job's
//! row says what there is to do, and its lease who may do it.

mod attempt;
mod availability;
mod body;
pub mod config;
mod context;
mod deliveries;
mod items;
mod job_error;
mod jobs;
mod leases;
mod metrics;
mod places;

pub use items::data_of_items;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use longshore_broker::{Broker, Queue};
use longshore_db::host::Native;
use longshore_db::{Check, Db, Sealer};
use longshore_storage::{AllowedEndpoints, StorageMetrics, Stores, Timeouts, WireOptions};
use longshore_telemetry::{
    ClientConnections, ConnectionLimits, Health, HttpMetrics, Listening, Metrics, SEND, Tasks, init_logs,
    raise_open_files, router, serve,
};
use tokio::net::TcpListener;
use tokio::sync::RwLock;
use tracing::info;
use uuid::Uuid;

use availability::Availability;
use config::Config;
use context::{Context, Memory};
use leases::{Leases, Presence};
use metrics::JobMetrics;
use places::Places;

/// Connections beside one per running job: heartbeat, claims, look-ups of pages in preparation.
const SPARE_CONNECTIONS: usize = 4;

/// Time for the last acknowledgements after the drain.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Runs a worker until SIGTERM.
///
/// # Errors
/// The configuration cannot be used, the port is taken, or a part of the worker failed.
pub async fn run(config: Config) -> Result<()> {
    init_logs(&config.logs)?;
    let open_files = raise_open_files();
    let tasks = Tasks::new();
    tasks.stop_on_signals()?;
    let stop = tasks.stopping();

    let exposed = Metrics::new("worker", env!("CARGO_PKG_VERSION"));
    let metrics = JobMetrics::register(exposed.registry())?;
    let patience = config.storage_patience;
    let wire = WireOptions {
        allowed: AllowedEndpoints::parse(&config.allowed_endpoints)?,
        timeouts: Timeouts { head: patience, idle: patience, ..Timeouts::default() },
        ..WireOptions::default()
    };
    let stores = Stores::new(wire, config.operator.clone(), StorageMetrics::register(exposed.registry())?)?;
    let connections = usize::from(Places::at_once(config.jobs)) * 2 + SPARE_CONNECTIONS;
    let db =
        Db::new(&config.database_url, "longshore-worker", connections, config.database_patience, Check::AfterIdle)?;
    let host = Native::new(Sealer::parse(&config.secret_keys)?);
    let broker = Broker::new(&config.amqp_url, "longshore-worker")?;

    let health = Health::new(stop.clone())
        .with("database", {
            let db = db.clone();
            move || {
                let db = db.clone();
                async move { db.client().await.map(drop).map_err(|_| "not reachable") }
            }
        })
        .with("broker", {
            let broker = broker.clone();
            move || {
                let connected = broker.is_connected();
                async move { if connected { Ok(()) } else { Err("not connected") } }
            }
        });
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
    let sockets = ConnectionLimits::new(config.connections, config.peer_connections, open_files);
    let clients = ClientConnections::new(sockets, &HttpMetrics::register(exposed.registry())?, Listening::Metrics);
    info!(event = "worker_started", worker = config.name, listen = %config.listen, "worker started");

    let (lease, drain) = (config.lease, config.drain);
    let (process, database) = (Uuid::new_v4(), Availability::new());
    let memory = Memory::new(config.memory_bytes, metrics.clone());
    let context = Arc::new(Context {
        config,
        db: db.clone(),
        host: Arc::new(host),
        stores,
        metrics: metrics.clone(),
        leases: Leases::default(),
        process,
        database: database.clone(),
        alone: RwLock::new(()),
        memory,
        stop: stop.clone(),
    });

    // The listener, the heartbeat and the broker outlive the drain: the last pages need them.
    let ended = tokio_util::sync::CancellationToken::new();
    let background = Tasks::new();
    background.spawn("http", serve(listener, router(health, exposed), clients, SEND, ended.clone()));
    background.spawn("heartbeat", {
        let (context, ended) = (Arc::clone(&context), ended.clone());
        let me = Presence { name: context.config.name.clone(), process, slots: context.config.jobs.into() };
        async move { context.leases.run(&context.db, me, lease, &context.database, &context.metrics, ended).await }
    });
    background.spawn("availability", {
        let (context, ended) = (Arc::clone(&context), ended.clone());
        async move { database.run(&context.db, process, &context.leases, ended).await }
    });
    background.spawn("broker", {
        let (broker, ended) = (broker.clone(), ended.clone());
        async move { broker.run(&ended).await }
    });
    background.spawn("wake-ups", {
        let (db, ended) = (db.clone(), ended.clone());
        async move {
            ended.run_until_cancelled(db.send_wakeups()).await;
        }
    });
    background.spawn("pool metrics", {
        let ended = ended.clone();
        async move {
            while ended.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await.is_some() {
                metrics.observe_pool(&db);
            }
        }
    });
    for queue in [Queue::Import, Queue::Export] {
        tasks.spawn("consumer", deliveries::consume(Arc::clone(&context), broker.clone(), queue, tasks.clone()));
    }
    // One end: a failed background task stops the consumers too.
    tasks.spawn("background", {
        let (failed, stop) = (background.stopping(), stop.clone());
        async move {
            tokio::select! {
                () = failed.cancelled() => Err("a background task failed"),
                () = stop.cancelled() => Ok(()),
            }
        }
    });

    let drained = tasks.wait(drain + LAST_WORDS).await;
    ended.cancel();
    background.stopping().cancel();
    background.wait(LAST_WORDS).await?;
    drained?;
    info!(event = "worker_stopped", "worker stopped");
    Ok(())
}
