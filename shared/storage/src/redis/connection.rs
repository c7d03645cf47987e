//! One shared connection per database in use.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longshore_model::FailureReason;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisConnectionInfo, RedisResult, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::task::TaskTracker;

use super::address::RedisAddress;
use super::answers::{Answers, bad_answer};
use super::budget::AnswerSize;
use super::failure::{broken, cluster};
use super::watched_stream::{Watch, WatchedStream};

use crate::wire::{Wire, no_answer};
use crate::{ErrorKind, Op, StorageError};

/// How long an unused connection is kept. If it is longer, idle connections occupy the server; if it is shorter,
/// calls connect more often.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest report about the server, in bytes. The longest known one has 2 KiB.
const LONGEST_INFO: u64 = 64 * 1024;

/// The connections of a process. Clones share them.
///
/// The map drops only slots that no storage uses. A cache from a library would also evict those in use, and open a second
/// connection to their server.
#[derive(Clone)]
pub(crate) struct Connections {
    wire: Arc<Wire>,
    slots: Arc<Mutex<HashMap<RedisAddress, Arc<Slot>>>>,
    drivers: TaskTracker,
}

struct Slot {
    state: tokio::sync::Mutex<State>,
    used_at: Mutex<Instant>,
}

#[derive(Default)]
struct State {
    live: Option<LiveConnection>,
    /// When the last attempt to open a connection failed, and how.
    failed: Option<(Instant, ErrorKind, FailureReason)>,
}

/// An open connection.
#[derive(Clone)]
pub(super) struct LiveConnection {
    connection: MultiplexedConnection,
    pub(super) run: ServerRun,
    watch: Watch,
    is_broken: Arc<AtomicBool>,
    /// How long the server may be silent before a call fails.
    patience: Duration,
    driver: Arc<Driver>,
}

/// One run of a server, from its start to its stop. `SCAN` cursors are valid in one run only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServerRun {
    /// The server's `run_id`.
    Id(String),
    /// The connection's number, if the user may not read the `run_id`: a restarted server numbers its connections
    /// from one again.
    ConnectionNumber(u64),
}

impl ServerRun {
    /// Whether a cursor's tag belongs to this run.
    pub(super) fn continues(&self, tag: &str) -> bool {
        match self {
            Self::Id(id) => tag.strip_prefix('i').is_some_and(|tag| tag == id),
            Self::ConnectionNumber(id) => {
                tag.strip_prefix('c').and_then(|tag| tag.parse::<u64>().ok()).is_some_and(|tag| tag <= *id)
            }
        }
    }
}

impl fmt::Display for ServerRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "i{id}"),
            Self::ConnectionNumber(id) => write!(f, "c{id}"),
        }
    }
}

/// The tokio task that moves the bytes; aborted when the last user of the connection drops it.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connections {
    pub(crate) fn new(wire: Arc<Wire>) -> Self {
        Self { wire, slots: Arc::default(), drivers: TaskTracker::new() }
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Returns the connection to a database; opens one if there is none that works.
    pub(super) async fn get(&self, op: Op, address: &RedisAddress) -> Result<LiveConnection, StorageError> {
        let (slot, requested_at) = (self.slot(address), Instant::now());
        let mut state = slot.state.lock().await;
        if let Some(live) = state.live.as_ref().filter(|live| live.works()) {
            return Ok(live.clone());
        }
        // A caller that waited during another caller's failed attempt shares the failure. Otherwise each would make
        // its own slow attempt in turn.
        if let Some((_, kind, reason)) = state.failed.filter(|(at, ..)| *at >= requested_at) {
            return Err(StorageError::new(op, kind, reason));
        }
        match self.open(op, address).await {
            Ok(fresh) => Ok(state.live.insert(fresh).clone()),
            Err(error) => {
                state.failed = Some((Instant::now(), error.kind, error.reason));
                Err(error)
            }
        }
    }

    fn slot(&self, address: &RedisAddress) -> Arc<Slot> {
        let now = Instant::now();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| now.duration_since(*slot.used_at()) < IDLE_TIMEOUT);
        let slot = slots
            .entry(address.clone())
            .or_insert_with(|| Arc::new(Slot { state: tokio::sync::Mutex::default(), used_at: Mutex::new(now) }));
        *slot.used_at() = now;
        Arc::clone(slot)
    }

    /// Opens a new connection and logs in.
    pub(super) async fn open(&self, op: Op, address: &RedisAddress) -> Result<LiveConnection, StorageError> {
        let patience = self.wire.timeouts().head;
        let stream = self.wire.tcp(op, &address.host, address.port).await?;
        let watch = Watch::default();
        if !address.tls {
            return self.log_in(op, address, WatchedStream::new(stream, &watch), watch).await;
        }
        let name = ServerName::try_from(address.host.clone())
            .map_err(|error| StorageError::with_source(op, ErrorKind::Invalid, FailureReason::Tls, error))?;
        let connector = TlsConnector::from(Arc::new(self.wire.tls().clone()));
        let stream = timeout(patience, connector.connect(name, stream))
            .await
            .map_err(|late| StorageError::with_source(op, ErrorKind::Unavailable, FailureReason::Unavailable, late))?
            .map_err(|error| no_answer(op, error))?;
        self.log_in(op, address, WatchedStream::new(stream, &watch), watch).await
    }

    /// Authenticates, selects the database, and asks for the server's run.
    async fn log_in<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        op: Op,
        address: &RedisAddress,
        stream: S,
        watch: Watch,
    ) -> Result<LiveConnection, StorageError> {
        // The library's own login is switched off: we send these commands ourselves, so that each refusal keeps its
        // meaning.
        let nothing = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let (connection, driver) = MultiplexedConnection::new_with_config(&nothing, stream, config)
            .await
            .map_err(|error| broken(op, error))?;
        let mut live = LiveConnection {
            connection,
            run: ServerRun::ConnectionNumber(0),
            watch,
            is_broken: Arc::default(),
            patience: self.wire.timeouts().head,
            driver: Arc::new(Driver(self.drivers.spawn(driver))),
        };
        if address.password.is_some() || address.username.is_some() {
            let password = address.password.as_ref().map_or("", |password| password.expose());
            live.send_one(op, redis::cmd("AUTH").arg(address.username.as_deref()).arg(password)).await?;
        }
        live.send_one(op, redis::cmd("SELECT").arg(address.db)).await?;
        let mut commands = Pipeline::new();
        commands.cmd("CLIENT").arg("ID").cmd("INFO").arg("server");
        let mut answers = live.send(op, &commands, AnswerSize::strings(2, LONGEST_INFO)).await?;
        let (number, info) = (answers.next(), answers.next());
        if let Ok(Value::Int(number)) = number {
            live.run = ServerRun::ConnectionNumber(u64::try_from(number).unwrap_or_default());
        }
        // Many users may not call `INFO`; the connection's number is used then.
        if let Ok(Value::BulkString(info)) = info {
            let info = String::from_utf8_lossy(&info);
            let line = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
            if line("redis_mode:") == Some("cluster") {
                return Err(cluster(op));
            }
            if let Some(id) = line("run_id:").filter(|id| !id.contains(':')) {
                live.run = ServerRun::Id(id.to_owned());
            }
        }
        Ok(live)
    }
}

impl Slot {
    fn used_at(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.used_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveConnection {
    fn works(&self) -> bool {
        !self.is_broken.load(Ordering::Relaxed) && !self.driver.0.is_finished()
    }

    /// Sends commands together and waits for their answers, which have at most this size.
    pub(super) async fn send(&self, op: Op, commands: &Pipeline, most: AnswerSize) -> Result<Answers, StorageError> {
        let mut connection = self.connection.clone();
        let exchange = connection.send_packed_commands(commands, 0, commands.len());
        Ok(Answers::new(op, self.wait_while_active(op, most, exchange).await?))
    }

    /// Sends one command and checks that it succeeds. Only for a single command, and not for several, the library
    /// reports an answer that is not Redis's protocol.
    async fn send_one(&self, op: Op, command: &Cmd) -> Result<(), StorageError> {
        let mut connection = self.connection.clone();
        let exchange = connection.send_packed_command(command);
        let answer = self.wait_while_active(op, AnswerSize::lines(1), exchange).await?;
        Answers::new(op, vec![answer]).all()
    }

    /// Waits as long as bytes move in either direction.
    async fn wait_while_active<T>(
        &self,
        op: Op,
        most: AnswerSize,
        exchange: impl Future<Output = RedisResult<T>> + Send,
    ) -> Result<T, StorageError> {
        // If the caller stops waiting, the answer comes later and no command seems to have asked for it.
        let unfinished = BreakOnDrop(Some(&self.is_broken));
        let expected = self.watch.budget.expect(most);
        let mut exchange = pin!(exchange);
        let result = loop {
            let moved = self.watch.moved.load(Ordering::Relaxed);
            match timeout(self.patience, &mut exchange).await {
                Ok(result) => break result.map_err(|error| broken(op, error)),
                Err(_) if self.watch.moved.load(Ordering::Relaxed) != moved => {}
                Err(late) => {
                    break Err(StorageError::with_source(op, ErrorKind::Unavailable, FailureReason::Unavailable, late));
                }
            }
        };
        if result.is_ok() {
            expected.have_come();
            unfinished.disarm();
        }
        if self.watch.budget.is_exceeded() { result.map_err(|_| bad_answer(op)) } else { result }
    }
}

/// Marks a connection as broken, so that no later call uses it, unless it is disarmed.
struct BreakOnDrop<'a>(Option<&'a AtomicBool>);

impl BreakOnDrop<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for BreakOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(is_broken) = self.0 {
            is_broken.store(true, Ordering::Relaxed);
        }
    }
}
