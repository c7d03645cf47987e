//! The pool and the listening connection.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use longshore_model::Secret;
use longshore_telemetry::tls_config;
use tokio::time::Instant;
use tokio_postgres::{AsyncMessage, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::migrate::migrate;
use crate::wake::Wakeups;
use crate::{Client, Error, Result, Share};

/// How long to wait for a free or a new connection. Longer than a restart of Postgres would only
/// pile up callers; shorter would fail a page for a hiccup.
const WAIT: Duration = Duration::from_secs(5);

/// How long the database may be silent in the middle of some work, unless an operator says otherwise.
///
/// A page commits in well under a second; shorter would give up on a database that is only slow, longer
/// would keep a job with a worker whose connection is half-open.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long ago a connection may have been used that [`Check::AfterIdle`] trusts.
const TRUSTED: Duration = Duration::from_secs(1);

/// Whether a connection is asked if it still works before it is lent. One whose end was seen never is lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// For callers that show a failure to a person.
    Always,
    /// Only one that lay idle for a second: for workers, who repeat what failed, and for whom the question
    /// would be a good part of what a page costs.
    AfterIdle,
}

/// How long a doubted connection may take to answer. One that works answers within milliseconds. With a longer wait, a
/// request that meets twenty silent connections would time out.
const SHORT_WAIT: Duration = Duration::from_millis(200);

/// The time before which a connection must last have been lent for the pool to doubt it.
///
/// What silences one connection, such as a firewall that dropped its state, usually silences all older ones. Waiting for
/// each would take [`WAIT`] times the size of the pool, so they get [`SHORT_WAIT`]. They are not closed unasked: the
/// silent one may only be busy with a statement that its caller gave up.
#[derive(Clone, Default)]
struct Doubted(Arc<Mutex<Option<Instant>>>);

impl Doubted {
    fn all_before(&self, asked: Instant) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(Some(asked));
    }

    fn has(&self, lent: Instant) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| lent < until)
    }
}

/// The database, shared by all tasks of a process.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
    /// Shared, as a copy is a dozen allocations, and a request makes several.
    config: Arc<Config>,
    tls: MakeRustlsConnect,
    patience: Duration,
    pub(crate) wakeups: Wakeups,
}

/// How the pool stands, for metrics.
#[derive(Debug, Clone, Copy)]
pub struct PoolStatus {
    /// Open database connections.
    pub size: usize,
    /// Those that are idle.
    pub available: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

impl Db {
    /// Prepares a pool; the first connection is made when it is needed.
    ///
    /// A connection is checked before it is lent, so one that a restart or a firewall cut is replaced
    /// and not handed out. `patience` is for [`Self::in_time`]; twice as long, and the
    /// database itself ends a transaction whose process fell silent.
    ///
    /// # Errors
    /// The URL cannot be understood.
    pub fn new(url: &Secret, application: &str, connections: usize, patience: Duration, check: Check) -> Result<Self> {
        let mut config: Config = url
            .expose()
            .parse()
            .map_err(|_| Error::Config("it should read postgres://user:password@host:5432/database".to_owned()))?;
        // search_path: every table is Longshore's own. The time-outs free locks that a vanished
        // process would hold: a process that still runs would have stopped waiting before.
        let options = format!(
            "-c search_path=longshore -c idle_in_transaction_session_timeout={} -c statement_timeout=120s",
            patience.as_millis() * 2
        );
        config
            .application_name(application)
            .options(options)
            .connect_timeout(WAIT)
            .keepalives_idle(Duration::from_secs(15))
            .tcp_user_timeout(Duration::from_secs(30));
        let tls = MakeRustlsConnect::new(tls_config().map_err(|error| Error::Config(error.to_string()))?);
        let manager = Manager::from_config(
            config.clone(),
            tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let doubted = Doubted::default();
        let check = Hook::async_fn(move |client: &mut ClientWrapper, metrics| {
            let doubted = doubted.clone();
            Box::pin(async move {
                let lent = Instant::from_std(metrics.recycled.unwrap_or(metrics.created));
                let is_doubted = doubted.has(lent);
                if check == Check::AfterIdle && !is_doubted && lent.elapsed() < TRUSTED {
                    return Ok(());
                }
                let asked = Instant::now();
                let patience = if is_doubted { SHORT_WAIT } else { WAIT };
                match tokio::time::timeout(patience, client.simple_query("")).await {
                    Ok(answer) => answer.map(drop).map_err(HookError::Backend),
                    Err(_) => {
                        doubted.all_before(asked);
                        Err(HookError::message("silent"))
                    }
                }
            })
        });
        let pool = Pool::builder(manager)
            .max_size(connections)
            .pre_recycle(check)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts { wait: Some(WAIT), create: Some(WAIT), recycle: Some(WAIT) })
            .build()
            .map_err(|error| Error::Config(error.to_string()))?;
        Ok(Self { pool, config: Arc::new(config), tls, patience, wakeups: Wakeups::default() })
    }

    /// Lends a connection that works, out of the [`Share`] of the current work if it has one.
    ///
    /// # Errors
    /// None could be had in time: [`Error::ShareInUse`] if the share has none left, else [`Error::Pool`].
    pub async fn client(&self) -> Result<Client> {
        // The share first: a place in the pool's queue is for callers that may have a connection.
        let place = Share::place(WAIT).await?;
        Ok(Client::new(self.pool.get().await?, place))
    }

    /// Does some work on the database, and gives it up when that takes too long.
    ///
    /// A half-open connection never answers. One that was given up on in the middle of an
    /// answer is closed, and not lent again, unless the rest of the answer comes within seconds.
    ///
    /// # Errors
    /// Those of the work, and [`Error::Silent`] once the patience has ended: it may be done or not.
    pub async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(self.patience, work).await.unwrap_or(Err(Error::Silent))
    }

    /// How long the database may be silent.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Brings the schema up to date. Several processes may call it at once; one does the work.
    ///
    /// # Errors
    /// A migration fails (then nothing of it stays).
    pub async fn migrate(&self) -> Result<()> {
        migrate(&mut self.client().await?).await
    }

    /// Whether the schema is there.
    ///
    /// # Errors
    /// It was never migrated.
    pub async fn is_migrated(&self) -> Result<()> {
        self.client().await?.query_opt("SELECT 1 FROM syncs LIMIT 1", &[]).await?;
        Ok(())
    }

    /// How the pool stands.
    pub fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus { size: status.size, available: status.available, waiting: status.waiting }
    }

    /// Opens another connection, which hears `NOTIFY` on a channel.
    pub async fn listen(&self, channel: &'static str) -> Result<Listener> {
        self.in_time(self.open_listener(channel)).await
    }

    async fn open_listener(&self, channel: &'static str) -> Result<Listener> {
        let (client, mut connection) = Box::pin(self.config.connect(self.tls.clone())).await?;
        let (heard, notifications) = tokio::sync::watch::channel(0_u64);
        #[expect(clippy::disallowed_methods, reason = "ends with the listener, which aborts it")]
        let driver = tokio::task::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(_) = message {
                    heard.send_modify(|count| *count += 1);
                }
            }
        });
        let listener = Listener { notifications, client, driver };
        listener.client.batch_execute(&format!("LISTEN {channel}")).await?;
        Ok(listener)
    }
}

/// A connection that hears notifications. What they carry does not matter: after a restart there
/// would be none, so they only say "look now".
pub struct Listener {
    notifications: tokio::sync::watch::Receiver<u64>,
    client: tokio_postgres::Client,
    driver: tokio::task::JoinHandle<()>,
}

impl Listener {
    /// Waits until something was notified since the last call, at most this long.
    ///
    /// Returns false when the connection is lost: listen again. One that was silent is asked whether
    /// it still works, for a half-open one looks the same.
    pub async fn wait(&mut self, at_most: Duration) -> bool {
        match tokio::time::timeout(at_most, self.notifications.changed()).await {
            Ok(Ok(())) => !self.driver.is_finished(),
            Ok(Err(_)) => false,
            Err(_) => matches!(tokio::time::timeout(WAIT, self.client.batch_execute("")).await, Ok(Ok(()))),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
