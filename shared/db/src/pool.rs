//! The pool, the migrations and the listening connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use longshore_model::Secret;
use rustls::crypto::aws_lc_rs;
use tokio_postgres::{AsyncMessage, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{Client, Error, Result};

mod migrations {
    refinery::embed_migrations!("migrations");
}

/// How long to wait for a free or a new connection. Longer than a restart of Postgres would only
/// pile up callers; shorter would fail a page for a hiccup.
const WAIT: Duration = Duration::from_secs(5);

/// The advisory lock that lets one of several starting schedulers migrate; "longshor" in ASCII.
const MIGRATION_LOCK: i64 = 0x6c6f_6e67_7368_6f72;

/// The database, shared by all tasks of a process.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
    config: Config,
    tls: MakeRustlsConnect,
}

/// How the pool stands, for metrics.
#[derive(Debug, Clone, Copy)]
pub struct PoolStatus {
    pub size: usize,
    pub available: usize,
    pub waiting: usize,
}

impl Db {
    /// Prepares a pool; the first connection is made when it is needed.
    ///
    /// A connection is checked before it is lent, so one that a restart or a firewall cut is
    /// replaced and not handed out.
    ///
    /// # Errors
    /// The URL cannot be understood.
    pub fn new(url: &Secret, application: &str, connections: usize) -> Result<Self> {
        let mut config: Config = url
            .expose()
            .parse()
            .map_err(|_| Error::Config("it should read postgres://user:password@host:5432/database".to_owned()))?;
        // search_path: every table is Longshore's own. The time-outs free locks that a vanished
        // process would hold: a page commits in well under a second, so a minute of silence inside a
        // transaction means that its owner is gone.
        config
            .application_name(application)
            .options("-c search_path=longshore -c idle_in_transaction_session_timeout=60s -c statement_timeout=120s")
            .connect_timeout(WAIT)
            .keepalives_idle(Duration::from_secs(15))
            .tcp_user_timeout(Duration::from_secs(30));
        let tls = MakeRustlsConnect::new(tls_config()?);
        let manager = Manager::from_config(
            config.clone(),
            tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Verified },
        );
        let pool = Pool::builder(manager)
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts { wait: Some(WAIT), create: Some(WAIT), recycle: Some(WAIT) })
            .build()
            .map_err(|error| Error::Config(error.to_string()))?;
        Ok(Self { pool, config, tls })
    }

    /// Lends a connection that works.
    ///
    /// # Errors
    /// None could be had in time.
    pub async fn client(&self) -> Result<Client> {
        Ok(self.pool.get().await?)
    }

    /// Brings the schema up to date. Several processes may call it at once; one does the work.
    ///
    /// # Errors
    /// The database is away, or a migration fails (then nothing of it stays).
    pub async fn migrate(&self) -> Result<()> {
        let mut client = self.client().await?;
        client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
        let migrated = async {
            client.batch_execute("CREATE SCHEMA IF NOT EXISTS longshore").await?;
            migrations::migrations::runner().run_async(&mut **client).await?;
            Ok(())
        }
        .await;
        client.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await?;
        migrated
    }

    /// Whether the schema is there.
    ///
    /// # Errors
    /// The database is away, or was never migrated.
    pub async fn is_migrated(&self) -> Result<()> {
        self.client().await?.query_opt("SELECT 1 FROM syncs LIMIT 1", &[]).await?;
        Ok(())
    }

    /// How the pool stands.
    pub fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus { size: status.size, available: status.available, waiting: status.waiting }
    }

    /// Opens a connection of its own that hears `NOTIFY` on a channel.
    ///
    /// # Errors
    /// The database is away.
    pub async fn listen(&self, channel: &'static str) -> Result<Listener> {
        let (client, mut connection) = self.config.connect(self.tls.clone()).await?;
        let (heard, notifications) = tokio::sync::watch::channel(0_u64);
        #[expect(clippy::disallowed_methods, reason = "ends with the listener, which aborts it")]
        let driver = tokio::task::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(_) = message {
                    heard.send_modify(|count| *count += 1);
                }
            }
        });
        client.batch_execute(&format!("LISTEN {channel}")).await?;
        Ok(Listener { notifications, _client: client, driver })
    }
}

fn tls_config() -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Config(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// A connection that hears notifications. What they carry does not matter: after a restart there
/// would be none, so they only say "look now".
pub struct Listener {
    notifications: tokio::sync::watch::Receiver<u64>,
    _client: tokio_postgres::Client,
    driver: tokio::task::JoinHandle<()>,
}

impl Listener {
    /// Waits until something was notified since the last call, at most this long.
    ///
    /// Returns false when the connection is lost: listen again.
    pub async fn wait(&mut self, at_most: Duration) -> bool {
        match tokio::time::timeout(at_most, self.notifications.changed()).await {
            Ok(Ok(())) | Err(_) => !self.driver.is_finished(),
            Ok(Err(_)) => false,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
