//! The scheduler: accepts requests for syncs over HTTP, SQL and AMQP, and publishes their jobs to workers.
//!
//! Any number of schedulers can run at the same time. The rows in Postgres are the truth; the loops only copy from them
//! to the broker, the host and the metrics.

pub mod api;
pub mod check;
pub mod config;
mod loops;
pub mod migration;
pub mod rotation;
pub mod situation;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use longshore_broker::Broker;
use longshore_db::host::{Host, Native};
use longshore_db::{Check, Db, Outage, Sealer};
use longshore_storage::{AllowedEndpoints, StorageMetrics, Stores, WireOptions};
use longshore_telemetry::waiting::WaitBoard;
use longshore_telemetry::{
    ClientConnections, ConnectionLimits, Health, HttpMetrics, ListenerName, Metrics, SEND_TIMEOUT, Tasks, init_logs,
    raise_open_files, serve,
};
use prometheus::{IntCounter, Registry};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use api::ApiState;
use config::Config;
use loops::{observer, pruner, relay, reporter, requests, rescuer, watcher};
use situation::Situation;

/// Database connections that requests cannot take: one for each of the seven loops, one for the readiness check,
/// and those of token look-ups. With fewer, loops would wait for each other.
const SYSTEM_CONNECTIONS: usize = 7 + 1 + api::LOOKUPS;

/// Open client sockets of the metrics listener. Only probes and scrapers use it, so there are few.
const METRICS_CLIENTS: usize = 256;

/// Time for requests to end after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs a scheduler until SIGTERM.
///
/// # Errors
/// The configuration is invalid, the port is in use, or a part of the scheduler failed.
pub async fn run(config: Config) -> Result<()> {
    init_logs(&config.logs)?;
    config.database.warn_of_plaintext();
    config.broker.warn_of_plaintext();
    let open_files = raise_open_files();
    let tasks = Tasks::new();
    tasks.stop_on_signals()?;
    let stop = tasks.stopping();

    let exposed = Metrics::new("scheduler", env!("CARGO_PKG_VERSION"));
    let registry = exposed.registry();
    let wire = WireOptions { allowed: AllowedEndpoints::parse(&config.allowed_endpoints)?, ..WireOptions::default() };
    let stores = Stores::new(wire, config.operator.clone(), StorageMetrics::register(registry)?)?;
    let pool =
        |name, connections| Db::open(&config.database, name, connections, config.database_patience, Check::Always);
    // Two pools: requests, however slow, take no database connection from the loops.
    let db = pool("longshore-scheduler", SYSTEM_CONNECTIONS)?;
    let api_db = pool("longshore-scheduler-api", api::CONNECTIONS)?.waking_through(&db);
    let sealer = Sealer::parse(&config.secret_keys)?;
    let broker = Broker::new(&config.broker, "longshore-scheduler");
    let host = Arc::new(Native::new(sealer.clone()));
    let situation = Situation::new(broker.clone(), WaitBoard::register(registry)?);
    let loops = Loops::new(registry, host, broker.clone(), db.clone(), api_db.clone(), situation.clone())?;

    let prepared = Arc::new(AtomicBool::new(false));
    let health = health(&db, &broker, &tasks, &prepared).with_waits(situation.board().clone());
    let open = longshore_telemetry::router(health, exposed.clone());
    let sockets = ConnectionLimits::new(config.connections, config.peer_connections, open_files);
    let load = config.load.within(sockets.total);
    let state = ApiState::new(
        api_db.clone(),
        db.clone(),
        sealer,
        stores,
        config.resolve(),
        load,
        config.api_memory_bytes,
        registry,
        situation.clone(),
        stop.clone(),
    )?;
    let router = api::router(state, open.clone())?;
    let http = HttpMetrics::register(registry)?;
    let listener = listen(config.listen).await?;
    info!(event = "scheduler_started", listen = %config.listen, "scheduler started");
    let clients = ClientConnections::new(sockets, &http, ListenerName::Api);
    tasks.spawn("http", serve(listener, router, clients, config.send, stop.clone()));
    if let Some(address) = config.metrics_listen {
        let sockets = ConnectionLimits::new(METRICS_CLIENTS, None, open_files);
        let clients = ClientConnections::new(sockets, &http, ListenerName::Metrics);
        tasks.spawn("metrics", serve(listen(address).await?, open, clients, SEND_TIMEOUT, stop.clone()));
    }
    spawn_connections(&tasks, &db, &broker);
    tasks.spawn(
        "watcher",
        watcher::run(db.clone(), situation.clone(), loops.waits.clone(), Arc::clone(&prepared), stop),
    );

    // The loops need the schema. Until it exists, the readiness check fails.
    if !prepare(&db, &config, &situation, &tasks).await {
        return Ok(tasks.wait(DRAIN).await?);
    }
    prepared.store(true, Ordering::Relaxed);
    loops.spawn(&tasks, &config);

    tasks.wait(DRAIN).await?;
    info!(event = "scheduler_stopped", "scheduler stopped");
    Ok(())
}

/// What the loops need.
struct Loops {
    sent: IntCounter,
    rescued: rescuer::RescuerMetrics,
    service: observer::ServiceMetrics,
    waits: watcher::WaitMetrics,
    situation: Situation,
    host: Arc<dyn Host>,
    broker: Broker,
    db: Db,
    /// The pool of the API. The observer counts its connections.
    api_db: Db,
}

impl Loops {
    fn new(
        registry: &Registry,
        host: Arc<dyn Host>,
        broker: Broker,
        db: Db,
        api_db: Db,
        situation: Situation,
    ) -> Result<Self> {
        let sent = relay::counter(registry)?;
        let rescued = rescuer::RescuerMetrics::register(registry)?;
        let service = observer::ServiceMetrics::register(registry)?;
        let waits = watcher::WaitMetrics::register(registry)?;
        Ok(Self { sent, rescued, service, waits, situation, host, broker, db, api_db })
    }

    fn spawn(self, tasks: &Tasks, config: &Config) {
        let Self { sent, rescued, service, waits: _, situation, host, broker, db, api_db } = self;
        let stop = tasks.stopping();
        tasks.spawn("relay", relay::run(db.clone(), broker.clone(), sent, situation.clone(), stop.clone()));
        tasks.spawn("rescuer", rescuer::run(db.clone(), config.rescue, rescued, situation.clone(), stop.clone()));
        tasks.spawn("reporter", reporter::run(db.clone(), host, broker.clone(), situation.clone(), stop.clone()));
        tasks.spawn("requests", requests::run(db.clone(), broker.clone(), stop.clone()));
        tasks.spawn("observer", observer::run(db.clone(), api_db, broker, service, situation, stop.clone()));
        tasks.spawn("pruner", pruner::run(db, config.keep_days, stop));
    }
}

/// Starts the tokio tasks that keep the broker connected and send wake-ups to the loops.
fn spawn_connections(tasks: &Tasks, db: &Db, broker: &Broker) {
    let (db, broker) = (db.clone(), broker.clone());
    let stop = tasks.stopping();
    tasks.spawn("wake-ups", {
        let stop = stop.clone();
        async move {
            stop.run_until_cancelled(db.send_wakeups()).await;
        }
    });
    tasks.spawn("broker", async move { broker.run(&stop).await });
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

fn health(db: &Db, broker: &Broker, tasks: &Tasks, prepared: &Arc<AtomicBool>) -> Health {
    let (db, broker, prepared) = (db.clone(), broker.clone(), Arc::clone(prepared));
    Health::new(tasks.stopping())
        .with("database", move || {
            let db = db.clone();
            async move { db.is_migrated().await.map_err(|_| "not reachable, or not migrated yet") }
        })
        .with("broker", move || {
            let connected = broker.is_connected();
            async move { if connected { Ok(()) } else { Err("not connected") } }
        })
        // A migrated schema is not enough: no request is accepted before the first token is stored.
        .with("token", move || {
            let prepared = prepared.load(Ordering::Relaxed);
            async move { if prepared { Ok(()) } else { Err("not stored yet") } }
        })
}

/// Migrates the schema and stores the first token. Waits for the database without a limit. Returns false if the process
/// is stopped first.
async fn prepare(db: &Db, config: &Config, situation: &Situation, tasks: &Tasks) -> bool {
    const PAUSE: Duration = Duration::from_secs(1);
    let stop = tasks.stopping();
    loop {
        let prepared = async {
            db.migrate().await?;
            longshore_db::tokens::upsert_bootstrap(&db.client().await?, &config.token).await
        };
        let prepared = prepared.await;
        situation.record("start", prepared.as_ref());
        match prepared {
            Ok(()) => return true,
            // The watcher warns once a minute.
            Err(error) if error.outage().is_some_and(Outage::stops_writes) => {
                debug!(event = "database_not_ready", error = error_chain(&error), "database not ready, retrying");
            }
            Err(error) => {
                let error = db.address().explain(&error);
                warn!(event = "database_not_ready", error, "database not ready, retrying");
            }
        }
        if stop.run_until_cancelled(sleep(PAUSE)).await.is_none() {
            return false;
        }
    }
}
