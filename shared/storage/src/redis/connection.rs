//! One connection to each database that is in use, shared by all who use it at once.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
use super::answers::Answers;
use super::counted::Counted;
use super::failure::{broken, cluster};

use crate::wire::{Wire, no_answer};
use crate::{ErrorKind, Op, StorageError};

/// How long an unused connection is kept.
const KEPT: Duration = Duration::from_secs(60);

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
    live: Option<Live>,
    /// When the last try to open one failed, and how.
    failed: Option<(Instant, ErrorKind, FailureReason)>,
}

/// An open connection.
#[derive(Clone)]
pub(super) struct Live {
    connection: MultiplexedConnection,
    pub(super) run: Run,
    /// Bytes that went either way.
    moved: Arc<AtomicU64>,
    is_broken: Arc<AtomicBool>,
    /// Silence of the server that ends the patience with it.
    patience: Duration,
    driver: Arc<Driver>,
}

/// What tells one run of a server from the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Run {
    /// The server's own name for it.
    Named(String),
    /// The number of a connection, where the server does not tell its name: a server counts its
    /// connections from one again when it starts.
    Counted(u64),
}

impl Run {
    /// Whether a tag is that of the same run.
    pub(super) fn continues(&self, tag: &str) -> bool {
        match self {
            Self::Named(id) => tag.strip_prefix('i').is_some_and(|tag| tag == id),
            Self::Counted(id) => {
                tag.strip_prefix('c').and_then(|tag| tag.parse::<u64>().ok()).is_some_and(|tag| tag <= *id)
            }
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(id) => write!(f, "i{id}"),
            Self::Counted(id) => write!(f, "c{id}"),
        }
    }
}

/// The task that moves the bytes; it ends with the last that uses the connection.
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

    /// The connection to a database; opened if there is none that works.
    pub(super) async fn get(&self, op: Op, address: &RedisAddress) -> Result<Live, StorageError> {
        let (slot, asked_at) = (self.slot(address), Instant::now());
        let mut state = slot.state.lock().await;
        if let Some(live) = state.live.as_ref().filter(|live| live.works()) {
            return Ok(live.clone());
        }
        // Who waited while somebody else tried shares the failure, or each would wait for its own in turn.
        if let Some((_, kind, reason)) = state.failed.filter(|(at, ..)| *at >= asked_at) {
            return Err(StorageError::new(op, kind, reason));
        }
        match self.fresh(op, address).await {
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
        slots.retain(|_, slot| now.duration_since(*slot.used_at()) < KEPT);
        let slot = slots
            .entry(address.clone())
            .or_insert_with(|| Arc::new(Slot { state: tokio::sync::Mutex::default(), used_at: Mutex::new(now) }));
        *slot.used_at() = now;
        Arc::clone(slot)
    }

    /// Opens a connection of its own, as far as the first answers.
    pub(super) async fn fresh(&self, op: Op, address: &RedisAddress) -> Result<Live, StorageError> {
        let patience = self.wire.timeouts().head;
        let stream = self.wire.tcp(op, &address.host, address.port).await?;
        let moved = Arc::new(AtomicU64::new(0));
        if !address.tls {
            return self.enter(op, address, Counted::new(stream, &moved), moved).await;
        }
        let name = ServerName::try_from(address.host.clone())
            .map_err(|error| StorageError::caused(op, ErrorKind::Invalid, FailureReason::Tls, error))?;
        let connector = TlsConnector::from(Arc::new(self.wire.tls().clone()));
        let stream = timeout(patience, connector.connect(name, stream))
            .await
            .map_err(|late| StorageError::caused(op, ErrorKind::Unavailable, FailureReason::Unavailable, late))?
            .map_err(|error| no_answer(op, error))?;
        self.enter(op, address, Counted::new(stream, &moved), moved).await
    }

    /// Says who we are and which database is meant, and asks which run of the server this is.
    async fn enter<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        op: Op,
        address: &RedisAddress,
        stream: S,
        moved: Arc<AtomicU64>,
    ) -> Result<Live, StorageError> {
        // What the library would say by itself is said below: so each refusal keeps its meaning.
        let nothing = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let (connection, driver) = MultiplexedConnection::new_with_config(&nothing, stream, config)
            .await
            .map_err(|error| broken(op, error))?;
        let mut live = Live {
            connection,
            run: Run::Counted(0),
            moved,
            is_broken: Arc::default(),
            patience: self.wire.timeouts().head,
            driver: Arc::new(Driver(self.drivers.spawn(driver))),
        };
        if address.password.is_some() || address.username.is_some() {
            let password = address.password.as_ref().map_or("", |password| password.expose());
            live.tell(op, redis::cmd("AUTH").arg(address.username.as_deref()).arg(password)).await?;
        }
        live.tell(op, redis::cmd("SELECT").arg(address.db)).await?;
        let mut asked = Pipeline::new();
        asked.cmd("CLIENT").arg("ID").cmd("INFO").arg("server");
        let mut answers = live.ask(op, &asked).await?;
        let (number, info) = (answers.next(), answers.next());
        if let Ok(Value::Int(number)) = number {
            live.run = Run::Counted(u64::try_from(number).unwrap_or_default());
        }
        // Users without the right to ask are common; the number has to do then.
        if let Ok(Value::BulkString(info)) = info {
            let info = String::from_utf8_lossy(&info);
            let line = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
            if line("redis_mode:") == Some("cluster") {
                return Err(cluster(op));
            }
            if let Some(id) = line("run_id:").filter(|id| !id.contains(':')) {
                live.run = Run::Named(id.to_owned());
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

impl Live {
    fn works(&self) -> bool {
        !self.is_broken.load(Ordering::Relaxed) && !self.driver.0.is_finished()
    }

    /// Sends commands together and waits for their answers.
    pub(super) async fn ask(&self, op: Op, asked: &Pipeline) -> Result<Answers, StorageError> {
        let mut connection = self.connection.clone();
        let answers = self.patiently(op, connection.send_packed_commands(asked, 0, asked.len())).await?;
        Ok(Answers::new(op, answers))
    }

    /// Sends one command of which only its success matters. Of one, and not of several, the library
    /// tells when the answer is no Redis's.
    async fn tell(&self, op: Op, command: &Cmd) -> Result<(), StorageError> {
        let mut connection = self.connection.clone();
        let answer = self.patiently(op, connection.send_packed_command(command)).await?;
        Answers::new(op, vec![answer]).all()
    }

    /// Waits for as long as any byte moves.
    async fn patiently<T>(
        &self,
        op: Op,
        asking: impl Future<Output = RedisResult<T>> + Send,
    ) -> Result<T, StorageError> {
        let mut asking = pin!(asking);
        let answered = loop {
            let moved = self.moved.load(Ordering::Relaxed);
            match timeout(self.patience, &mut asking).await {
                Ok(answered) => break answered.map_err(|error| broken(op, error)),
                Err(_) if self.moved.load(Ordering::Relaxed) != moved => {}
                Err(late) => {
                    break Err(StorageError::caused(op, ErrorKind::Unavailable, FailureReason::Unavailable, late));
                }
            }
        };
        if answered.is_err() {
            self.is_broken.store(true, Ordering::Relaxed);
        }
        answered
    }
}
