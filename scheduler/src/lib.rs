//! The scheduler: accepts requests for syncs over HTTP, SQL and AMQP, and publishes their jobs to workers.
//!
//! Any number of schedulers can run at the same time. The rows in Postgres are the truth; the loops only copy from them
//! to the broker, the host and the metrics.

pub mod api;
pub mod check;
pub mod config;
mod loops;
pub mod migration;
mod preparation;
pub mod rotation;
pub mod situation;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use longshore_broker::Broker;
use longshore_db::host::label_studio::{ExportRules, LabelStudio, Tries};
use longshore_db::host::{Host, HostKind, Native};
use longshore_db::{Check, Db, Sealer};
use longshore_storage::{AllowedEndpoints, Poster, StorageMetrics, Stores, WireOptions};
use longshore_telemetry::waiting::WaitBoard;
use longshore_telemetry::{
    ClientConnections, ConnectionLimits, Health, HttpMetrics, ListenerName, Metrics, SEND_TIMEOUT, Tasks, init_logs,
    raise_open_files, serve,
};
use prometheus::{IntCounter, Registry};
use tokio::net::TcpListener;
use tracing::info;

use api::{ApiState, LabelStudioAccess};
use config::Config;
use loops::webhooks::{WebhookMetrics, Webhooks};
use loops::{counters, denials, effects, observer, pruner, relay, reporter, requests, rescuer, watcher, webhooks};
use situation::Situation;

/// Database connections that requests cannot take: one for each of the nine loops, one for the readiness check,
/// and those of token look-ups. With fewer, loops would wait for each other.
const SYSTEM_CONNECTIONS: usize = 9 + 1 + api::LOOKUPS;

/// Database connections for the effects of imports on a Label Studio: three of the loop that arranges cohorts, and one of the
/// other effects.
const EFFECTS_CONNECTIONS: usize = 3 + 1;

/// Database connections by which deliveries to webhooks are read, one for each: the bodies of large projects take long, and a
/// wait for a connection would count as an attempt.
const WEBHOOKS_CONNECTIONS: usize = webhooks::PLACES + webhooks::PLACES_OF_FAILED;

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
    warn_of_plaintext(&config);
    let open_files = raise_open_files();
    let tasks = Tasks::new();
    tasks.stop_on_signals()?;
    let stop = tasks.stopping();

    let exposed = Metrics::new("scheduler", env!("CARGO_PKG_VERSION"));
    let registry = exposed.registry();
    let stores = stores(&config, registry)?;
    // Two pools: requests, however slow, take no database connection from the loops.
    let db = pool(&config, "longshore-scheduler", SYSTEM_CONNECTIONS)?;
    let api_db = pool(&config, "longshore-scheduler-api", api::CONNECTIONS)?.waking_through(&db);
    let sealer = Sealer::parse(&config.secret_keys)?;
    let broker = Broker::new(&config.broker, "longshore-scheduler");
    let situation = Situation::new(broker.clone(), WaitBoard::register(registry)?);
    let host = host(config.host, &sealer, &db);
    let mut loops = Loops::new(registry, host, broker.clone(), db.clone(), api_db.clone(), situation.clone())?;
    loops.label_studio = label_studio(&config, registry, &db, &situation)?;

    let prepared = Arc::new(AtomicBool::new(false));
    let health = health(&db, &broker, &tasks, &prepared).with_waits(situation.board().clone());
    let open = longshore_telemetry::router(health.clone(), exposed.clone());
    // Metrics are only on their own listener, if there is one: the API may be open to more clients.
    let beside_api =
        if config.metrics_listen.is_some() { longshore_telemetry::health_router(health) } else { open.clone() };
    let sockets = ConnectionLimits::new(config.connections, config.peer_connections, open_files);
    let load = config.load.within(sockets.total);
    let state = ApiState::new(
        api_db.clone(),
        db.clone(),
        sealer,
        stores,
        broker.clone(),
        config.resolve(),
        config.proxies.clone(),
        load,
        config.api_memory_bytes,
        registry,
        situation.clone(),
        config.host,
        config.label_studio_url.clone().map(|url| LabelStudioAccess::new(url, api_db.clone())).transpose()?,
        stop.clone(),
    )?;
    let denied = state.denials.clone();
    let router = api::router(state, beside_api)?;
    spawn_listeners(&tasks, &config, registry, (sockets, open_files), router, open).await?;
    spawn_connections(&tasks, &db, &broker);
    tasks.spawn(
        "watcher",
        watcher::run(db.clone(), situation.clone(), loops.waits.clone(), Arc::clone(&prepared), stop.clone()),
    );

    // The loops need the schema. Until it exists, the readiness check fails.
    if !preparation::prepare(&db, &config, &situation, &tasks).await? {
        return Ok(tasks.wait(DRAIN).await?);
    }
    prepared.store(true, Ordering::Relaxed);
    tasks.spawn("denials", denials::run(db.clone(), denied, stop.clone()));
    loops.spawn(&tasks, &config);

    tasks.wait(DRAIN).await?;
    info!(event = "scheduler_stopped", "scheduler stopped");
    Ok(())
}

/// Warns of connections that are not encrypted.
fn warn_of_plaintext(config: &Config) {
    config.database.warn_of_plaintext();
    config.broker.warn_of_plaintext();
}

/// The clients of the storages.
fn stores(config: &Config, registry: &Registry) -> Result<Stores> {
    let wire = WireOptions { allowed: AllowedEndpoints::parse(&config.allowed_endpoints)?, ..WireOptions::default() };
    Ok(Stores::new(wire, config.operator.clone(), StorageMetrics::register(registry)?)?)
}

/// A pool of database connections.
fn pool(config: &Config, name: &str, connections: usize) -> longshore_db::Result<Db> {
    Db::open(&config.database, name, connections, config.database_patience, Check::Always)
}

/// What only the loops of a Label Studio need.
struct LabelStudioLoops {
    effects_db: Db,
    webhooks: Webhooks,
}

/// What its loops need, if the host is a Label Studio.
fn label_studio(
    config: &Config,
    registry: &Registry,
    db: &Db,
    situation: &Situation,
) -> Result<Option<LabelStudioLoops>> {
    if config.host != HostKind::LabelStudio {
        return Ok(None);
    }
    // Two pools: slow deliveries take no connection from the effects, whose heartbeat Label Studio waits for.
    let effects_db = pool(config, "longshore-scheduler-effects", EFFECTS_CONNECTIONS)?.waking_through(db);
    let db = pool(config, "longshore-scheduler-webhooks", WEBHOOKS_CONNECTIONS)?.waking_through(db);
    let poster = Poster::new(AllowedEndpoints::parse(&config.allowed_endpoints)?, webhooks::PATIENCE)?;
    let metrics = WebhookMetrics::register(registry)?;
    let webhooks = Webhooks { db, poster, metrics, situation: situation.clone() };
    Ok(Some(LabelStudioLoops { effects_db, webhooks }))
}

/// The host of the reporter.
fn host(kind: HostKind, sealer: &Sealer, db: &Db) -> Arc<dyn Host> {
    match kind {
        HostKind::Native => Arc::new(Native::new(sealer.clone())),
        // The reporter takes no numbers of tasks, so the pool of the loops is enough.
        HostKind::LabelStudio => Arc::new(LabelStudio::new(db.clone(), ExportRules::default())),
    }
}

/// Listens for the API's clients, and for scrapers if they have their own listener. `sockets` are the limits of the API and
/// the open files of the process.
async fn spawn_listeners(
    tasks: &Tasks,
    config: &Config,
    registry: &Registry,
    (sockets, open_files): (ConnectionLimits, usize),
    api: Router,
    open: Router,
) -> Result<()> {
    let http = HttpMetrics::register(registry)?;
    let listener = listen(config.listen).await?;
    info!(event = "scheduler_started", listen = %config.listen, "scheduler started");
    let clients = ClientConnections::new(sockets, &http, ListenerName::Api);
    tasks.spawn("http", serve(listener, api, clients, config.send, tasks.stopping()));
    if let Some(address) = config.metrics_listen {
        let sockets = ConnectionLimits::new(METRICS_CLIENTS, None, open_files);
        let clients = ClientConnections::new(sockets, &http, ListenerName::Metrics);
        tasks.spawn("metrics", serve(listen(address).await?, open, clients, SEND_TIMEOUT, tasks.stopping()));
    }
    Ok(())
}

/// What the loops need.
struct Loops {
    sent: IntCounter,
    pruned: IntCounter,
    rescued: rescuer::RescuerMetrics,
    service: observer::ServiceMetrics,
    waits: watcher::WaitMetrics,
    situation: Situation,
    host: Arc<dyn Host>,
    broker: Broker,
    db: Db,
    /// The pool of the API. The observer counts its connections.
    api_db: Db,
    /// Only if the host is a Label Studio.
    label_studio: Option<LabelStudioLoops>,
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
        let pruned = pruner::counter(registry)?;
        let rescued = rescuer::RescuerMetrics::register(registry)?;
        let service = observer::ServiceMetrics::register(registry)?;
        let waits = watcher::WaitMetrics::register(registry)?;
        Ok(Self { sent, pruned, rescued, service, waits, situation, host, broker, db, api_db, label_studio: None })
    }

    fn spawn(self, tasks: &Tasks, config: &Config) {
        let Self { sent, pruned, rescued, service, waits: _, situation, host, broker, db, api_db, label_studio } = self;
        let stop = tasks.stopping();
        tasks.spawn("relay", relay::run(db.clone(), broker.clone(), sent, situation.clone(), stop.clone()));
        tasks.spawn("rescuer", rescuer::run(db.clone(), config.rescue, rescued, situation.clone(), stop.clone()));
        tasks.spawn("reporter", reporter::run(db.clone(), host, broker.clone(), situation.clone(), stop.clone()));
        if let Some(label_studio) = label_studio {
            spawn_effects(tasks, label_studio);
            tasks.spawn("counters", counters::run(db.clone(), situation.clone(), stop.clone()));
        }
        tasks.spawn("requests", requests::run(db.clone(), config.host, broker.clone(), stop.clone()));
        tasks.spawn("observer", observer::run(db.clone(), api_db, broker, service, situation, stop.clone()));
        let retention = pruner::Retention { sync_days: config.keep_days, audit_days: config.audit_days };
        tasks.spawn("pruner", pruner::run(db, retention, pruned, stop));
    }
}

/// Starts the loops for the effects of imports on a Label Studio.
fn spawn_effects(tasks: &Tasks, LabelStudioLoops { effects_db: db, webhooks }: LabelStudioLoops) {
    let (situation, stop) = (webhooks.situation.clone(), tasks.stopping());
    tasks.spawn("effects", effects::run(db.clone(), situation.clone(), stop.clone()));
    tasks.spawn("cohorts", effects::arrange_cohorts(db, situation, stop.clone()));
    tasks.spawn("webhooks", webhooks::run(webhooks.clone(), Tries::First, stop.clone()));
    tasks.spawn("webhook-retries", webhooks::run(webhooks, Tries::Again, stop));
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
