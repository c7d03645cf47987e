//! How much of the API one token may use at once, and all of them together.
//!
//! A request counts until its answer is sent, an event stream until it ends. The database work of a token runs in
//! a share of the pool, so that one caller's slow statements leave database connections to the others. Requests by
//! a resolve link bring no token; together they count as one.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use longshore_db::Share;
use longshore_telemetry::{ClientConnection, Held};
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::auth::Caller;
use super::error::{ApiError, ApiResult};
use super::{ApiState, limits, sync_events};

/// The share of the API's pool that one token may use: half. More would let one caller stop the others; less would
/// slow a host that sends everything by one token.
const SHARE: usize = super::CONNECTIONS / 2;

/// Statements without a time limit at once: deletions of storages, which may hold a database connection for an hour.
/// More would take the pool from short requests; fewer would let two callers stop the deletions of others.
const DELETIONS: usize = 4;

/// How long a deletion waits for the ones before it. Small storages take milliseconds; a caller that waits longer is
/// told to come again, rather than left to wonder.
const DELETION_WAIT: Duration = Duration::from_secs(10);

/// How much of the API may be used at once. Every number is a count of requests or streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadLimits {
    /// Requests of all tokens.
    pub requests: usize,
    /// Requests of one token.
    pub token_requests: usize,
    /// Event streams of all tokens.
    pub streams: usize,
    /// Event streams of one token.
    pub token_streams: usize,
}

impl LoadLimits {
    /// The same, but no more than these sockets serve: half of them for requests and a quarter for streams, so
    /// that a quarter is left to clients that are not let in yet, and to health.
    #[must_use]
    pub fn within(self, sockets: usize) -> Self {
        let (requests, streams) = (self.requests.min(sockets / 2).max(1), self.streams.min(sockets / 4).max(1));
        Self {
            requests,
            token_requests: self.token_requests.min(requests),
            streams,
            token_streams: self.token_streams.min(streams),
        }
    }
}

/// A limit that a request has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    Requests,
    TokenRequests,
    Streams,
    TokenStreams,
    Deletions,
    TokenDatabase,
}

impl Limit {
    pub(crate) const ALL: &[Self] =
        &[Self::Requests, Self::TokenRequests, Self::Streams, Self::TokenStreams, Self::Deletions, Self::TokenDatabase];

    /// The name in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::TokenRequests => "token_requests",
            Self::Streams => "streams",
            Self::TokenStreams => "token_streams",
            Self::Deletions => "deletions",
            Self::TokenDatabase => "token_database",
        }
    }

    /// The code in answers.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Requests | Self::TokenRequests | Self::TokenDatabase => "too_many_requests",
            Self::Streams | Self::TokenStreams => "too_many_streams",
            Self::Deletions => "too_many_deletions",
        }
    }

    /// What happened and what to do.
    pub(crate) const fn detail(self) -> &'static str {
        match self {
            Self::Requests => "Too many requests are being answered; try again in a moment.",
            Self::TokenRequests => {
                "Too many requests of this token are being answered. Wait for their answers, then try again."
            }
            Self::Streams => "Too many event streams are open; try again later, or read the sync itself.",
            Self::TokenStreams => "Too many event streams of this token are open. Close one, then try again.",
            Self::Deletions => "Other storages are being deleted. Wait until they are, then try again.",
            Self::TokenDatabase => {
                "Other requests of this token keep the database busy. Try again when they have ended."
            }
        }
    }

    /// How many seconds a client should wait: as long as what it waits for usually takes.
    pub(crate) const fn retry_after_seconds(self) -> u16 {
        match self {
            Self::Requests | Self::TokenRequests | Self::TokenDatabase => 1,
            Self::Streams | Self::TokenStreams => 5,
            Self::Deletions => 10,
        }
    }
}

/// What counts towards a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Request,
    Stream,
}

/// What is in use now. Clones share it.
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
    /// By the ID of the token; `None` are the links. Only those that are in use.
    tokens: HashMap<Option<i64>, TokenLoad>,
}

/// What one token uses.
struct TokenLoad {
    requests: usize,
    streams: usize,
    share: Share,
    /// One at a time: a storage that is in use holds up its own deletion, and no other token's.
    deletion: Arc<Semaphore>,
}

/// A place among the requests or the streams. Dropped, it is free again.
struct Place {
    load: Load,
    token: Option<i64>,
    used: Use,
    share: Share,
    deletion: Arc<Semaphore>,
}

impl Load {
    /// Nothing is in use yet; `streams` shows how many streams are open.
    pub(super) fn new(limits: LoadLimits, streams: IntGauge) -> Self {
        let deletions = Arc::new(Semaphore::new(DELETIONS));
        Self(Arc::new(Inner { limits, deletions, streams, table: Mutex::default() }))
    }

    /// Takes a place, or says which limit does not allow it.
    fn take(&self, used: Use, token: Option<i64>) -> Result<Place, Limit> {
        let (limits, mut table) = (self.0.limits, self.0.lock());
        let of_token = table.tokens.get(&token);
        let (of_all, of_token) = match used {
            Use::Request => (table.requests, of_token.map_or(0, |load| load.requests)),
            Use::Stream => (table.streams, of_token.map_or(0, |load| load.streams)),
        };
        let (limit_of_all, limit_of_token) = match (used, token) {
            (Use::Request, Some(_)) => (limits.requests, limits.token_requests),
            // Many browsers load images by links: half of all, as no token stands for them.
            (Use::Request, None) => (limits.requests, (limits.requests / 2).max(1)),
            (Use::Stream, _) => (limits.streams, limits.token_streams),
        };
        if of_token >= limit_of_token {
            return Err(if used == Use::Request { Limit::TokenRequests } else { Limit::TokenStreams });
        }
        if of_all >= limit_of_all {
            return Err(if used == Use::Request { Limit::Requests } else { Limit::Streams });
        }
        match used {
            Use::Request => table.requests += 1,
            Use::Stream => {
                table.streams += 1;
                self.0.streams.inc();
            }
        }
        let load = table.tokens.entry(token).or_insert_with(TokenLoad::new);
        match used {
            Use::Request => load.requests += 1,
            Use::Stream => load.streams += 1,
        }
        let (share, deletion) = (load.share.clone(), Arc::clone(&load.deletion));
        Ok(Place { load: self.clone(), token, used, share, deletion })
    }
}

impl Inner {
    /// The table is right after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenLoad {
    fn new() -> Self {
        Self { requests: 0, streams: 0, share: Share::new(SHARE), deletion: Arc::new(Semaphore::new(1)) }
    }
}

impl Place {
    /// Waits until a deletion may start: after the other ones of its token, and few at once in all.
    async fn deletion(&self) -> Result<[OwnedSemaphorePermit; 2], Limit> {
        let turns = async {
            let own = Arc::clone(&self.deletion).acquire_owned().await.ok()?;
            let of_all = Arc::clone(&self.load.0.deletions).acquire_owned().await.ok()?;
            Some([own, of_all])
        };
        timeout(DELETION_WAIT, turns).await.ok().flatten().ok_or(Limit::Deletions)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.load.0.lock();
        match self.used {
            Use::Request => table.requests -= 1,
            Use::Stream => {
                table.streams -= 1;
                self.load.0.streams.dec();
            }
        }
        if let Some(load) = table.tokens.get_mut(&self.token) {
            match self.used {
                Use::Request => load.requests -= 1,
                Use::Stream => load.streams -= 1,
            }
            if load.requests == 0 && load.streams == 0 {
                table.tokens.remove(&self.token);
            }
        }
    }
}

/// Lets a request in, if its token and the process have a place for it, and runs its database work in the share
/// of its token.
pub(super) async fn admit(
    State(state): State<ApiState>,
    route: MatchedPath,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    // Without a caller it comes by a link.
    let token = request.extensions().get::<Caller>().map(|caller| caller.id);
    let used = if route.as_str() == sync_events::ROUTE { Use::Stream } else { Use::Request };
    let place = state.load.take(used, token).map_err(ApiError::Busy)?;
    // From here on its socket is not closed for another client's.
    let held = request.extensions().get::<ClientConnection>().map(ClientConnection::hold);
    let deletion = if limits::is_unhurried(request.method(), &route) {
        Some(place.deletion().await.map_err(ApiError::Busy)?)
    } else {
        None
    };
    let answer = place.share.scope(next.run(request)).await;
    drop(deletion);
    Ok(answer.map(|body| Body::new(Admitted { body, _place: place, _held: held })))
}

/// The body of an answer that keeps its place until it is sent.
struct Admitted {
    body: Body,
    _place: Place,
    _held: Option<Held>,
}

impl HttpBody for Admitted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LoadLimits = LoadLimits { requests: 4, token_requests: 3, streams: 3, token_streams: 2 };

    fn load(limits: LoadLimits) -> Load {
        Load::new(limits, IntGauge::new("streams", "Streams.").unwrap())
    }

    #[test]
    fn one_token_has_a_part_of_the_places_and_leaves_the_rest_to_others() {
        let load = load(LIMITS);
        let own: Vec<Place> = (0..3).map(|_| load.take(Use::Request, Some(1)).ok().unwrap()).collect();
        assert_eq!(load.take(Use::Request, Some(1)).err(), Some(Limit::TokenRequests));
        let other = load.take(Use::Request, Some(2)).ok().unwrap();
        assert_eq!(load.take(Use::Request, Some(2)).err(), Some(Limit::Requests));
        // Streams have places of their own.
        let streams: Vec<Place> = (0..2).map(|_| load.take(Use::Stream, Some(1)).ok().unwrap()).collect();
        assert_eq!(load.take(Use::Stream, Some(1)).err(), Some(Limit::TokenStreams));
        assert!(load.take(Use::Stream, Some(2)).is_ok());
        assert_eq!(load.0.streams.get(), 2, "the other one was dropped");
        drop((own, other, streams));
        let table = load.0.lock();
        assert_eq!((table.requests, table.streams, table.tokens.len()), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_deletes_one_storage_at_a_time_and_all_together_a_few() {
        let load = load(LoadLimits { requests: 100, token_requests: 100, ..LIMITS });
        let places: Vec<Place> =
            (0..=DELETIONS as i64).map(|token| load.take(Use::Request, Some(token)).ok().unwrap()).collect();
        let first = places[0].deletion().await.unwrap();
        let second = load.take(Use::Request, Some(0)).ok().unwrap();
        assert_eq!(second.deletion().await.err(), Some(Limit::Deletions));
        let mut others = Vec::new();
        for place in &places[1..DELETIONS] {
            others.push(place.deletion().await.unwrap());
        }
        assert_eq!(places[DELETIONS].deletion().await.err(), Some(Limit::Deletions));
        drop(first);
        assert!(places[DELETIONS].deletion().await.is_ok());
    }

    #[test]
    fn few_sockets_mean_few_places() {
        let limits = LoadLimits { requests: 512, token_requests: 128, streams: 256, token_streams: 64 };
        assert_eq!(limits.within(1_024), limits);
        let few = LoadLimits { requests: 50, token_requests: 50, streams: 25, token_streams: 25 };
        assert_eq!(limits.within(100), few);
    }
}
