//! Limits concurrent requests and event streams, per token and for all tokens together.
//!
//! A request counts until its answer is sent, an event stream until it ends. A token can use only a share of the
//! database pool, so that slow statements of one caller leave connections for others. Requests with a resolve link have
//! no token; those of one project count together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use longshore_db::Share;
use longshore_telemetry::{ClientConnection, keep_until_sent};
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::ApiState;
use super::access::{Access, Policy, Work};
use super::body_limit::Lingering;
use super::error::{ApiError, ApiResult};
use super::load_limits::{Limit, LoadLimits};

/// Database connections that one token may use: half of the API's pool. With more, one caller could stop the others;
/// with fewer, a host that sends all requests with one token would be slow.
const SHARE: usize = super::CONNECTIONS / 2;

/// Concurrent deletions of storages. They have no short time limit and may hold a database connection for an hour. More
/// would leave too few connections for short requests; with fewer, two callers could block the deletions of others.
const DELETIONS: usize = 4;

/// How long a deletion waits for other deletions. Small storages take milliseconds. After this time the caller gets the
/// advice to try again later.
const DELETION_WAIT: Duration = Duration::from_secs(10);

/// The two kinds of use that have limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Request,
    Stream,
}

/// Whose use is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Consumer {
    /// The token with this ID.
    Token(i64),
    /// The resolve links of the project with this ID.
    Links(i64),
    /// The user of Label Studio with this ID.
    HostUser(i64),
}

impl Consumer {
    fn of(access: &Access) -> Self {
        match access {
            Access::Token(caller) => Self::Token(caller.id),
            Access::Link(link) => Self::Links(link.project()),
            Access::HostUser(user) => Self::HostUser(user.id),
        }
    }
}

/// The current use of the API. Clones share it.
#[derive(Clone)]
pub(super) struct Load(Arc<Inner>);

struct Inner {
    limits: LoadLimits,
    deletions: Arc<Semaphore>,
    streams: IntGauge,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    requests: usize,
    streams: usize,
    /// The consumers with at least one request or stream.
    consumers: HashMap<Consumer, ConsumerLoad>,
}

/// The current use of one consumer.
struct ConsumerLoad {
    requests: usize,
    streams: usize,
    share: Share,
    /// Lets one deletion run at a time: if a storage is in use, its deletion delays no deletion of other tokens.
    deletion: Arc<Semaphore>,
}

/// A slot for a request or a stream. Dropping it frees the slot.
struct Slot {
    load: Load,
    consumer: Consumer,
    used: Use,
    share: Share,
    deletion: Arc<Semaphore>,
}

impl Load {
    /// Makes a load without requests or streams. It counts open streams in `streams`.
    pub(super) fn new(limits: LoadLimits, streams: IntGauge) -> Self {
        let deletions = Arc::new(Semaphore::new(DELETIONS));
        Self(Arc::new(Inner { limits, deletions, streams, table: Mutex::default() }))
    }

    /// Takes a slot. The error is the limit that is reached.
    fn take(&self, used: Use, consumer: Consumer) -> Result<Slot, Limit> {
        let (limits, mut table) = (self.0.limits, self.0.lock());
        let own = table.consumers.get(&consumer);
        let (of_all, own) = match used {
            Use::Request => (table.requests, own.map_or(0, |load| load.requests)),
            Use::Stream => (table.streams, own.map_or(0, |load| load.streams)),
        };
        let ((limit_of_all, full), (own_limit, reached)) = match (used, consumer) {
            (Use::Request, Consumer::Token(_) | Consumer::HostUser(_)) => {
                ((limits.requests, Limit::Requests), (limits.token_requests, Limit::TokenRequests))
            }
            (Use::Request, Consumer::Links(_)) => {
                ((limits.requests, Limit::Requests), (limits.token_requests, Limit::LinkRequests))
            }
            (Use::Stream, _) => ((limits.streams, Limit::Streams), (limits.token_streams, Limit::TokenStreams)),
        };
        if own >= own_limit {
            return Err(reached);
        }
        if of_all >= limit_of_all {
            return Err(full);
        }
        match used {
            Use::Request => table.requests += 1,
            Use::Stream => {
                table.streams += 1;
                self.0.streams.inc();
            }
        }
        let load = table.consumers.entry(consumer).or_insert_with(ConsumerLoad::new);
        match used {
            Use::Request => load.requests += 1,
            Use::Stream => load.streams += 1,
        }
        let (share, deletion) = (load.share.clone(), Arc::clone(&load.deletion));
        Ok(Slot { load: self.clone(), consumer, used, share, deletion })
    }
}

impl Inner {
    /// Poisoning is harmless: no statement leaves the table half-updated.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConsumerLoad {
    fn new() -> Self {
        Self { requests: 0, streams: 0, share: Share::new(SHARE), deletion: Arc::new(Semaphore::new(1)) }
    }
}

impl Slot {
    /// Waits for permission to delete: one deletion per token and [`DELETIONS`] for all tokens.
    async fn deletion(&self) -> Result<[OwnedSemaphorePermit; 2], Limit> {
        let permits = async {
            let own = Arc::clone(&self.deletion).acquire_owned().await.ok()?;
            let of_all = Arc::clone(&self.load.0.deletions).acquire_owned().await.ok()?;
            Some([own, of_all])
        };
        timeout(DELETION_WAIT, permits).await.ok().flatten().ok_or(Limit::Deletions)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.load.0.lock();
        match self.used {
            Use::Request => table.requests -= 1,
            Use::Stream => {
                table.streams -= 1;
                self.load.0.streams.dec();
            }
        }
        if let Some(load) = table.consumers.get_mut(&self.consumer) {
            match self.used {
                Use::Request => load.requests -= 1,
                Use::Stream => load.streams -= 1,
            }
            if load.requests == 0 && load.streams == 0 {
                table.consumers.remove(&self.consumer);
            }
        }
    }
}

/// Admits a request if its token and the process have a free slot. Its database connections come from the share of its
/// token.
pub(super) async fn admit(
    State(state): State<ApiState>,
    Extension(policy): Extension<Policy>,
    access: Access,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let consumer = Consumer::of(&access);
    let used = if policy.work == Work::Stream { Use::Stream } else { Use::Request };
    let slot = state.load.take(used, consumer).map_err(ApiError::Busy)?;
    // From here on, the server does not close this socket in favor of another client.
    let socket = request.extensions().get::<ClientConnection>().map(ClientConnection::hold);
    let deletion =
        if policy.work == Work::WholeTables { Some(slot.deletion().await.map_err(ApiError::Busy)?) } else { None };
    let answer = slot.share.scope(next.run(request)).await;
    drop(deletion);
    if answer.extensions().get::<Lingering>().is_some() {
        // The refusal is sent, and only the rest of the body is being discarded. Free the slot and the socket for
        // others.
        return Ok(answer);
    }
    Ok(answer.map(|body| keep_until_sent(body, (slot, socket))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LoadLimits = LoadLimits { requests: 4, token_requests: 3, streams: 3, token_streams: 2 };

    fn load(limits: LoadLimits) -> Load {
        Load::new(limits, IntGauge::new("streams", "Streams.").unwrap())
    }

    #[test]
    fn one_token_cannot_take_the_slots_of_others() {
        let load = load(LIMITS);
        let own: Vec<Slot> = (0..3).map(|_| load.take(Use::Request, Consumer::Token(1)).ok().unwrap()).collect();
        assert_eq!(load.take(Use::Request, Consumer::Token(1)).err(), Some(Limit::TokenRequests));
        let other = load.take(Use::Request, Consumer::Token(2)).ok().unwrap();
        assert_eq!(load.take(Use::Request, Consumer::Token(2)).err(), Some(Limit::Requests));
        // Streams have their own slots.
        let streams: Vec<Slot> = (0..2).map(|_| load.take(Use::Stream, Consumer::Token(1)).ok().unwrap()).collect();
        assert_eq!(load.take(Use::Stream, Consumer::Token(1)).err(), Some(Limit::TokenStreams));
        assert!(load.take(Use::Stream, Consumer::Token(2)).is_ok());
        assert_eq!(load.0.streams.get(), 2, "the other one was dropped");
        drop((own, other, streams));
        let table = load.0.lock();
        assert_eq!((table.requests, table.streams, table.consumers.len()), (0, 0, 0));
    }

    #[test]
    fn links_of_one_project_have_as_many_slots_as_a_token() {
        let load = load(LIMITS);
        let own: Vec<Slot> = (0..3).map(|_| load.take(Use::Request, Consumer::Links(1)).ok().unwrap()).collect();
        assert_eq!(load.take(Use::Request, Consumer::Links(1)).err(), Some(Limit::LinkRequests));
        assert!(load.take(Use::Request, Consumer::Links(2)).is_ok());
        assert!(load.take(Use::Request, Consumer::Token(1)).is_ok(), "a token with the same number is another one");
        drop(own);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_deletes_one_storage_at_a_time_and_all_tokens_a_few() {
        let load = load(LoadLimits { requests: 100, token_requests: 100, ..LIMITS });
        let slots: Vec<Slot> =
            (0..=DELETIONS as i64).map(|token| load.take(Use::Request, Consumer::Token(token)).ok().unwrap()).collect();
        let first = slots[0].deletion().await.unwrap();
        let second = load.take(Use::Request, Consumer::Token(0)).ok().unwrap();
        assert_eq!(second.deletion().await.err(), Some(Limit::Deletions));
        let mut others = Vec::new();
        for slot in &slots[1..DELETIONS] {
            others.push(slot.deletion().await.unwrap());
        }
        assert_eq!(slots[DELETIONS].deletion().await.err(), Some(Limit::Deletions));
        drop(first);
        assert!(slots[DELETIONS].deletion().await.is_ok());
    }
}
