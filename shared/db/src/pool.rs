//! The connection pool, and the connection that listens for notifications.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use longshore_model::Secret;
use tokio::time::Instant;
use tokio_postgres::AsyncMessage;

use crate::migrate::migrate;
use crate::wake::Wakeups;
use crate::{Address, Client, Error, Result, Share};

/// How long to wait for a free or a new connection. A longer wait than a restart of Postgres takes would only collect
/// waiting callers. A shorter one would fail a page for a brief interruption.
const WAIT: Duration = Duration::from_secs(5);

/// How long some work may wait for the database, unless an operator sets another time.
///
/// A page commits in well under a second. A shorter time would give up on a database that is only slow. A longer one
/// would leave a job with a worker whose connection is half-open.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// [`Check::AfterIdle`] does not check a connection that was used within this time.
const TRUSTED: Duration = Duration::from_secs(1);

/// When the pool checks that a connection still works before it lends it. It never lends one that is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Each time. For callers that show a failure to a person.
    Always,
    /// Only after a second without use. For workers: they repeat failed work, and a check each time would be a good
    /// part of the cost of a page.
    AfterIdle,
}

/// How long a doubtful connection may take to answer the check. A working one answers within milliseconds. With a
/// longer wait, a request that gets twenty silent connections in a row would time out.
const SHORT_WAIT: Duration = Duration::from_millis(200);

/// The connections that the pool doubts: those last lent before the stored time.
///
/// If one connection gets no answer, for example because a firewall dropped its state, usually all older ones get none.
/// To wait [`WAIT`] for each would take that time once per connection of the pool, so they get [`SHORT_WAIT`]. They are
/// still checked before they are closed: the silent one may only be busy with a statement that its caller gave up.
#[derive(Clone, Default)]
struct DoubtfulConnections(Arc<Mutex<Option<Instant>>>);

impl DoubtfulConnections {
    fn all_before(&self, time: Instant) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(Some(time));
    }

    fn has(&self, lent: Instant) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| lent < until)
    }
}

/// The database, shared by all tokio tasks of a process.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
    /// In an `Arc`: a copy needs a dozen allocations, and each request clones `Db` several times.
    address: Arc<Address>,
    patience: Duration,
    pub(crate) wakeups: Wakeups,
}

/// The state of the pool, for metrics.
#[derive(Debug, Clone, Copy)]
pub struct PoolStatus {
    /// Number of open database connections.
    pub size: usize,
    /// Number of idle ones among them.
    pub available: usize,
    /// Number of callers that wait for a connection.
    pub waiting: usize,
}

impl Db {
    /// Makes a pool. It opens connections only when callers need them.
    ///
    /// The pool checks connections before it lends them, so it replaces one that a restart or a firewall cut.
    /// `patience` is the time limit of [`Self::in_time`]. After twice that time the database ends a transaction whose
    /// process sends nothing.
    ///
    /// # Errors
    /// [`Error::Config`] if the pool has no connections.
    pub fn open(
        address: &Address,
        application: &str,
        connections: usize,
        patience: Duration,
        check: Check,
    ) -> Result<Self> {
        let mut address = address.clone();
        // search_path: all tables are in Longshore's own schema. The timeouts free the locks of a process that
        // disappeared. A process that still runs has stopped waiting before they end.
        let options = format!(
            "-c search_path=longshore -c idle_in_transaction_session_timeout={} -c statement_timeout=120s",
            patience.as_millis() * 2
        );
        address
            .config
            .application_name(application)
            .options(options)
            .connect_timeout(WAIT)
            .keepalives_idle(Duration::from_secs(15))
            .tcp_user_timeout(Duration::from_secs(30));
        let manager = Manager::from_config(
            address.config.clone(),
            address.tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let doubted = DoubtfulConnections::default();
        let check = Hook::async_fn(move |client: &mut ClientWrapper, metrics| {
            let doubted = doubted.clone();
            Box::pin(async move {
                let lent = Instant::from_std(metrics.recycled.unwrap_or(metrics.created));
                let is_doubted = doubted.has(lent);
                if check == Check::AfterIdle && !is_doubted && lent.elapsed() < TRUSTED {
                    return Ok(());
                }
                let checked_at = Instant::now();
                let patience = if is_doubted { SHORT_WAIT } else { WAIT };
                match tokio::time::timeout(patience, client.simple_query("")).await {
                    Ok(answer) => answer.map(drop).map_err(HookError::Backend),
                    Err(_) => {
                        doubted.all_before(checked_at);
                        Err(HookError::message("the connection did not answer the check"))
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
        Ok(Self { pool, address: Arc::new(address), patience, wakeups: Wakeups::default() })
    }

    /// Makes a pool from a URL. For tools and tests; programs read an [`Address`] from their settings.
    ///
    /// # Errors
    /// [`Error::Config`] if the URL is no [`Address`].
    pub fn new(url: &Secret, application: &str, connections: usize, patience: Duration, check: Check) -> Result<Self> {
        let address = Address::parse(url).map_err(|error| Error::Config(error.to_string()))?;
        Self::open(&address, application, connections, patience, check)
    }

    /// The address of the database.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Lends a working connection, within the [`Share`] of the current work if it has one.
    ///
    /// # Errors
    /// No connection became free in time: [`Error::ShareInUse`] if the share has none left, else [`Error::Pool`].
    pub async fn client(&self) -> Result<Client> {
        // The share first: only callers that may have a connection should wait in the pool's queue.
        let permit = Share::permit(WAIT).await?;
        Ok(Client::new(self.pool.get().await?, permit))
    }

    /// Does some work on the database, with the time limit [`Self::patience`].
    ///
    /// A half-open connection never answers. If the limit ends in the middle of an answer, the pool closes the
    /// connection, unless the rest of the answer arrives within seconds.
    ///
    /// # Errors
    /// Those of the work, and [`Error::Silent`] after the time limit: then the database may have done the work or not.
    pub async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let done = tokio::time::timeout(self.patience, work).await.unwrap_or(Err(Error::Silent));
        if done.as_ref().is_err_and(Error::is_of_changed_tables) {
            // The next attempt prepares its statements for the tables as they are now.
            self.forget_statements();
        }
        done
    }

    /// Forgets the prepared statements of all connections. After a change of tables, Postgres would refuse to run them.
    pub fn forget_statements(&self) {
        self.pool.manager().statement_caches.clear();
    }

    /// The time limit of [`Self::in_time`].
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Brings the schema up to date. Several processes may call it at the same time; one does the work.
    ///
    /// # Errors
    /// A migration fails. It is rolled back.
    pub async fn migrate(&self) -> Result<()> {
        migrate(&mut self.client().await?).await
    }

    /// Checks that the schema exists.
    ///
    /// # Errors
    /// The database was never migrated.
    pub async fn is_migrated(&self) -> Result<()> {
        self.client().await?.query_opt("SELECT 1 FROM syncs LIMIT 1", &[]).await?;
        Ok(())
    }

    /// The current state of the pool.
    pub fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus { size: status.size, available: status.available, waiting: status.waiting }
    }

    /// Opens a separate connection that listens to `NOTIFY` on a channel.
    pub async fn listen(&self, channel: &'static str) -> Result<Listener> {
        self.in_time(self.open_listener(channel)).await
    }

    async fn open_listener(&self, channel: &'static str) -> Result<Listener> {
        let (client, mut connection) = self.address.connect().await?;
        let (counter, notifications) = tokio::sync::watch::channel(0_u64);
        #[expect(clippy::disallowed_methods, reason = "ends with the listener, which aborts it")]
        let driver = tokio::task::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(_) = message {
                    counter.send_modify(|count| *count += 1);
                }
            }
        });
        let listener = Listener { notifications, client, driver };
        listener.client.batch_execute(&format!("LISTEN {channel}")).await?;
        Ok(listener)
    }
}

/// A connection that receives notifications. Their payload is ignored. They only mean "look now": a restart loses them,
/// so each loop must also find its work without them.
pub struct Listener {
    notifications: tokio::sync::watch::Receiver<u64>,
    client: tokio_postgres::Client,
    driver: tokio::task::JoinHandle<()>,
}

impl Listener {
    /// Waits for a notification since the last call, for at most `at_most`.
    ///
    /// Returns false if the connection is lost; the caller must listen again. After a wait without notifications it
    /// checks the connection, because a half-open one looks the same.
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
