//! The servers and the object store that all rows share.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_db::{Address, Check, Db};
use longshore_local::{App, Options, Settings, Stack, ports};
use longshore_model::Secret;
use serde_json::Value;
use tokio_postgres::Client;

use crate::deployment::Deployment;
use crate::server;

/// Private servers and the synthetic object store.
pub struct TestBed {
    pub stack: Stack,
    store: App,
    pub http: reqwest::Client,
    scale: f64,
}

impl TestBed {
    /// Starts the servers. They end with this process.
    pub async fn start(folder: &str, scale: f64) -> Result<Self> {
        let stack = Stack::start(folder, Options { throwaway: true, ..Options::lasting() }).await?;
        let port = ports::free()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--port", &port.to_string()]);
        let store = App::spawn(stack.run_dir(), "store", command, port)?;
        store.until_listening().await?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        Ok(Self { stack, store, http, scale })
    }

    /// The endpoint of the object store.
    pub fn endpoint(&self) -> String {
        self.store.url()
    }

    pub fn store_pid(&self) -> Option<u32> {
        self.store.process.pid()
    }

    /// A counter of the object store.
    pub async fn count_requests(&self, what: &str) -> Result<u64> {
        let counts: Value =
            self.http.get(format!("{}{}", self.endpoint(), server::COUNTS)).send().await?.json().await?;
        counts[what].as_u64().context("a count of the object store")
    }

    /// A number of keys multiplied by the scale of this run, in whole pages.
    pub fn scaled(&self, keys: u64) -> u64 {
        let scaled = keys as f64 * self.scale / 1000.0;
        scaled.ceil().max(1.0) as u64 * 1000
    }

    /// Creates an empty database with the schema, and a connection.
    pub async fn database(&self, name: &str) -> Result<(String, Client)> {
        self.drop_database(name).await?;
        let url = self.stack.postgres.create_database(name).await?;
        Db::new(&Secret::new(url.clone()), "longshore-bench", 1, longshore_db::PATIENCE, Check::Always)?
            .migrate()
            .await?;
        let client = connect(&url).await?;
        Ok((url, client))
    }

    /// Drops a database, so that rows of the report do not fill the disk.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let client = connect(self.stack.postgres.url()).await?;
        Ok(client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?)
    }

    /// Starts a scheduler and one worker on a new database and virtual host.
    pub async fn deploy(&self, name: &str, worker: &[(&str, &str)]) -> Result<Deployment<'_>> {
        ensure!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name} must consist of letters and digits");
        let (database_url, database) = self.database(name).await?;
        let mut settings = Settings::of(&self.stack)?;
        settings.database_url = database_url;
        settings.amqp_url = self.stack.rabbitmq.create_vhost(name).await?;
        Deployment::start(self, name, settings, database, worker).await
    }
}

/// A connection that lives as long as its client.
pub async fn connect(url: &str) -> Result<Client> {
    let address = Address::parse(&Secret::new(url)).map_err(|error| anyhow::anyhow!("DATABASE_URL {error}"))?;
    let (client, connection) = address.connect().await?;
    #[expect(clippy::disallowed_methods, reason = "ends with the client")]
    tokio::spawn(connection);
    client.batch_execute("SET search_path = longshore").await?;
    Ok(client)
}
