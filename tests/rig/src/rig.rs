//! A complete Longshore for one test: real servers and processes, with a proxy on every connection.
//!
//! Timeouts are short so that recovery is fast. Tests wait for states, never for a fixed time.

mod api;
mod options;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use longshore_db::{Check, Db, PATIENCE as PATIENCE_OF_DATABASE};
use longshore_local::guard::Guard;
use longshore_local::s3::S3Server;
use longshore_local::{App, RunDir, Settings, Stack, ports};
use longshore_model::Secret;

use crate::proxy::Proxy;
use crate::rights::Roles;
pub use crate::until::{PATIENCE, until, until_within};
pub use api::{StorageHandle, rows, send_json};
pub use options::RigOptions;

/// The secret access key of every rig. Tests may search for it in logs and answers.
pub const SECRET_ACCESS_KEY: &str = "rig-secret-access-key-b7e1";
pub const ACCESS_KEY_ID: &str = "AKIARIG";
/// A second access key, with the same secret.
pub const FRESH_ACCESS_KEY_ID: &str = "AKIAFRESH";
/// A temporary access key with the same secret, which needs [`SESSION_TOKEN`].
pub const TEMPORARY_ACCESS_KEY_ID: &str = "ASIATEMPORARY";
pub const SESSION_TOKEN: &str = "rig-session-token-b7e1";

/// Proxies on the connections of all workers, or of all schedulers.
pub struct Links {
    pub database: Proxy,
    pub broker: Proxy,
}

/// A running Longshore.
pub struct Rig {
    pub stack: Arc<Stack>,
    pub s3: S3Server,
    /// Proxy between the processes and the S3 server.
    pub storage_link: Proxy,
    pub worker_links: Links,
    pub scheduler_links: Links,
    pub schedulers: Vec<App>,
    pub workers: Vec<App>,
    /// The database without a proxy, as an administrator.
    pub database_url: String,
    pub amqp_url: String,
    /// The roles of the programs and of the host. `database_url` and `amqp_url` are those of administrators.
    pub roles: Roles,
    pub vhost: String,
    pub run_dir: RunDir,
    settings: Settings,
    heartbeat_seconds: Option<u16>,
    environment: Vec<(&'static str, String)>,
    http: reqwest::Client,
    /// Dropped last: it kills the remaining processes and removes their run directory.
    _guard: Guard,
}

impl Drop for Rig {
    /// Prints the last log lines of all processes if the test failed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
    }
}

impl Rig {
    /// One scheduler and one worker on shared servers.
    pub async fn start() -> Self {
        Self::with().start().await
    }

    /// Starts another worker, waits until it is ready, and returns its index in [`Rig::workers`].
    pub async fn add_worker(&mut self) -> usize {
        let index = self.spawn_worker();
        self.workers[index].until_ready().await.expect("a worker becomes ready");
        index
    }

    /// Starts another worker and returns its index in [`Rig::workers`].
    pub fn spawn_worker(&mut self) -> usize {
        let name = format!("worker-{}", self.workers.len() + 1);
        self.workers.push(self.spawn(&name, |settings, port| settings.worker(port), &self.worker_links));
        self.workers.len() - 1
    }

    /// Starts another scheduler, waits until it is ready, and returns its index in [`Rig::schedulers`].
    pub async fn add_scheduler(&mut self) -> usize {
        let index = self.spawn_scheduler();
        self.schedulers[index].until_ready().await.expect("a scheduler becomes ready");
        index
    }

    /// Starts another scheduler and returns its index in [`Rig::schedulers`].
    pub fn spawn_scheduler(&mut self) -> usize {
        let name = format!("scheduler-{}", self.schedulers.len() + 1);
        self.schedulers.push(self.spawn(&name, |settings, port| settings.scheduler(port), &self.scheduler_links));
        self.schedulers.len() - 1
    }

    fn spawn(&self, name: &str, command: impl Fn(&Settings, u16) -> anyhow::Result<Command>, links: &Links) -> App {
        let mut settings = self.settings.clone();
        settings.database_url = with_address(&self.roles.database_url, links.database.address());
        settings.amqp_url = with_address(&self.roles.amqp_url, links.broker.address());
        if let Some(seconds) = self.heartbeat_seconds {
            settings.amqp_url = format!("{}?heartbeat={seconds}", settings.amqp_url);
        }
        let port = ports::free().expect("a free port");
        let mut command = command(&settings, port).expect("the programs are built");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        App::spawn(&self.run_dir, name, command, port).expect("a process starts")
    }

    /// Gives new proxies to workers that start from now on. Returns the proxies of the earlier workers.
    pub async fn split_worker_links(&mut self) -> Links {
        let links = Links { database: proxy(&self.database_url).await, broker: proxy(&self.amqp_url).await };
        std::mem::replace(&mut self.worker_links, links)
    }

    /// Sets an environment variable of the processes that start from now on.
    pub fn set_environment(&mut self, name: &'static str, value: impl Into<String>) {
        self.environment.push((name, value.into()));
    }

    /// The first scheduler's base URL.
    pub fn url(&self) -> String {
        self.schedulers.first().expect("the rig has a scheduler").url()
    }

    /// The bootstrap token.
    pub fn token(&self) -> &str {
        &self.settings.token
    }

    /// The value of `LONGSHORE_SECRET_KEYS`.
    pub fn secret_keys(&self) -> &str {
        &self.settings.secret_keys
    }

    /// A new database connection with `search_path` set.
    pub async fn database(&self) -> tokio_postgres::Client {
        let (client, connection) =
            crate::rights::address(&self.database_url).connect().await.expect("the database answers");
        tokio::spawn(connection);
        client.batch_execute("SET search_path = longshore").await.expect("the schema is there");
        client
    }

    /// A pool such as those of the programs, to call their statements.
    pub fn pool(&self) -> Db {
        let url = Secret::new(self.database_url.clone());
        Db::new(&url, "test", 2, PATIENCE_OF_DATABASE, Check::AfterIdle).expect("a pool")
    }

    /// The name of the rig's database.
    pub fn database_name(&self) -> String {
        let url: reqwest::Url = self.database_url.parse().expect("a URL");
        url.path().trim_start_matches('/').to_owned()
    }

    /// Makes all jobs of a sync that wait for a retry due now.
    pub async fn make_due(&self, sync: i64) {
        let db = self.database().await;
        db.execute("UPDATE jobs SET due_at = now() WHERE sync_id = $1 AND state = 'retryable'", &[&sync])
            .await
            .expect("jobs");
        db.execute(
            "UPDATE outbox SET due_at = now() WHERE job_id IN (SELECT id FROM jobs WHERE sync_id = $1)",
            &[&sync],
        )
        .await
        .expect("the outbox");
        db.batch_execute("NOTIFY longshore_outbox").await.expect("the relay is woken");
    }

    /// Prints the last log lines of each process.
    pub fn print_logs(&self) {
        for app in self.schedulers.iter().chain(&self.workers) {
            let log = app.process.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- {}", app.process.name());
            for line in &lines[lines.len().saturating_sub(40)..] {
                eprintln!("{line}");
            }
        }
    }

    /// The logs of all processes of the rig so far.
    pub fn logs(&self) -> String {
        self.schedulers.iter().chain(&self.workers).map(|app| app.process.log()).collect()
    }
}

/// A proxy to the server in a URL.
async fn proxy(url: &str) -> Proxy {
    let url: reqwest::Url = url.parse().expect("a URL");
    let port = url.port().expect("a URL with a port");
    let host = url.host_str().expect("a URL with a host");
    let upstream = tokio::net::lookup_host((host, port)).await.expect("a known host").next().expect("an address");
    Proxy::start(upstream).await.expect("a proxy")
}

/// The URL with another address.
fn with_address(url: &str, address: SocketAddr) -> String {
    let mut url: reqwest::Url = url.parse().expect("a URL");
    url.set_ip_host(address.ip()).expect("a URL that has a host");
    url.set_port(Some(address.port())).expect("a URL that may have a port");
    url.into()
}
