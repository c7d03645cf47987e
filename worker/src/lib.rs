//! The worker: consumes jobs, talks to the storage, commits rows. See `README.md`.
//!
//! Any number of identical workers run side by side. A message only wakes one of them. The job's row describes the
//! work, and its lease names the attempt that may do it.

mod all_unusable;
mod attempt;
mod availability;
mod body;
pub mod check;
pub mod config;
mod context;
mod database_faults;
mod deliveries;
mod heartbeat;
mod host_check;
mod job_error;
mod jobs;
mod leases;
mod memory;
mod metrics;
mod quarantine;
mod slots;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use longshore_broker::{Broker, Queue};
use longshore_telemetry::{
    ClientConnections, ConnectionLimits, Health, HttpMetrics, ListenerName, Metrics, SEND_TIMEOUT, Tasks, init_logs,
    raise_open_files, router, serve,
};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::info;

use config::Config;
use context::Context;

/// Time for the last acknowledgements after the drain.
const LAST_ACKS: Duration = Duration::from_secs(3);

/// How often the gauges of the connection pool are updated. They change little within a second.
const POOL_METRICS_PERIOD: Duration = Duration::from_secs(1);

/// Runs a worker until SIGTERM.
///
/// # Errors
/// The configuration is invalid, the port is in use, the host is not supported, or a part of the worker failed.
pub async fn run(config: Config) -> Result<()> {
    init_logs(&config.logs)?;
    config.database.warn_of_plaintext();
    config.broker.warn_of_plaintext();
    let open_files = raise_open_files();
    let tasks = Tasks::new();
    tasks.stop_on_signals()?;

    let exposed = Metrics::new("worker", env!("CARGO_PKG_VERSION"));
    let broker = Broker::new(&config.broker, "longshore-worker");
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
    let sockets = ConnectionLimits::new(config.connections, config.peer_connections, open_files);
    let clients = ClientConnections::new(sockets, &HttpMetrics::register(exposed.registry())?, ListenerName::Metrics);
    let context = Arc::new(Context::new(config, exposed.registry(), tasks.stopping())?);
    info!(
        event = "worker_started",
        worker = context.config.name,
        listen = %context.config.listen,
        "worker started"
    );

    // The listener, the heartbeat and the broker outlive the drain: the last pages need them.
    let ended = CancellationToken::new();
    let background = start_background(&context, &broker, &ended);
    let router = router(health(&context, &broker), exposed);
    background.spawn("http", serve(listener, router, clients, SEND_TIMEOUT, ended.clone()));
    host_check::check(&context).await?;
    for queue in [Queue::Import, Queue::Export] {
        tasks.spawn("consumer", deliveries::consume(Arc::clone(&context), broker.clone(), queue, tasks.clone()));
    }
    // A failed background task stops the consumers too.
    tasks.spawn("background", {
        let (failed, stop) = (background.stopping(), context.stop.clone());
        async move {
            tokio::select! {
                () = failed.cancelled() => Err("a background task failed"),
                () = stop.cancelled() => Ok(()),
            }
        }
    });

    let drained = tasks.wait(context.config.drain + LAST_ACKS).await;
    ended.cancel();
    background.stopping().cancel();
    background.wait(LAST_ACKS).await?;
    drained?;
    info!(event = "worker_stopped", "worker stopped");
    Ok(())
}

/// Starts the background tasks that run beside the consumers until `ended`.
fn start_background(context: &Arc<Context>, broker: &Broker, ended: &CancellationToken) -> Tasks {
    let background = Tasks::new();
    background.spawn("heartbeat", {
        let (context, ended) = (Arc::clone(context), ended.clone());
        async move { heartbeat::run(&context, &ended).await }
    });
    background.spawn("availability", {
        let (context, ended) = (Arc::clone(context), ended.clone());
        async move { context.database.run(&context.db, context.process, &context.leases, &context.faults, ended).await }
    });
    background.spawn("broker", {
        let (broker, ended) = (broker.clone(), ended.clone());
        async move { broker.run(&ended).await }
    });
    background.spawn("waits", {
        let (context, broker, ended) = (Arc::clone(context), broker.clone(), ended.clone());
        async move { waits::run(&context, &broker, &ended).await }
    });
    background.spawn("wake-ups", {
        let (context, ended) = (Arc::clone(context), ended.clone());
        async move {
            ended.run_until_cancelled(context.db.send_wakeups()).await;
        }
    });
    background.spawn("pool metrics", {
        let (context, ended) = (Arc::clone(context), ended.clone());
        async move {
            while ended.run_until_cancelled(sleep(POOL_METRICS_PERIOD)).await.is_some() {
                context.metrics.observe_pool(&context.db);
            }
        }
    });
    background
}

/// The worker's health checks: its database and its broker.
fn health(context: &Arc<Context>, broker: &Broker) -> Health {
    let (db, broker) = (context.db.clone(), broker.clone());
    Health::new(context.stop.clone())
        .with_waits(context.board.clone())
        .with("database", move || {
            let db = db.clone();
            async move { db.client().await.map(drop).map_err(|_| "not reachable") }
        })
        .with("broker", move || {
            let connected = broker.is_connected();
            async move { if connected { Ok(()) } else { Err("not connected") } }
        })
}
