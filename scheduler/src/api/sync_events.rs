//! The event stream of a sync: its progress once a second, as server-sent events.
//!
//! However many watch a sync, it is read once a second, by the watcher whose turn comes first. A stream holds no
//! database connection, and goes on only as long as its token may see the sync.

use longshore_telemetry::error_chain;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use longshore_db::{Share, syncs};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use utoipa_axum::routes;

use super::ApiState;
use super::access::{Caller, Policy, Role, Routes, Work};
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::Path;
use super::syncs::with_jobs;

/// How often a stream shows something. People watch it; a worker commits several pages a second.
const EVERY: Duration = Duration::from_secs(1);

/// How old a reading may be that is shown again. A little less than a tick, so that watchers whose ticks come at
/// the same time find one of this second; less would read more often.
const FRESH: Duration = Duration::from_millis(900);

/// Database connections of all streams together. More would take them from requests; one would let a slow reading
/// hold up the others.
const CONNECTIONS: usize = 2;

/// Shown while there is nothing to show, so that clients and proxies see that the stream is alive.
const NOTHING: Bytes = Bytes::from_static(b": the database does not answer\n\n");

pub(super) fn routes() -> Routes {
    Routes::default().route(Policy::from(Role::Read).with_work(Work::Stream), routes!(events))
}

/// Streams a sync once a second as server-sent events: `progress`, and at last `end`. They have all of a sync but its
/// `options`, which do not change.
///
/// The stream ends early when its token is deleted or may not see the project any more.
#[utoipa::path(
    get, path = "/api/syncs/{id}/events", operation_id = "syncs_events", tag = "syncs", params(("id" = i64, Path)),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 404, body = ErrorBody))
)]
async fn events(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Response> {
    let feed = state.feeds.of(id);
    match feed.latest(&state).await {
        Ok(reading) if caller.sees(reading.project) => {}
        Ok(_) | Err(Missing::Sync) => return Err(ApiError::not_found(format!("sync {id}"))),
        Err(Missing::Database) => return Err(ApiError::Database(longshore_db::Error::Silent)),
    }
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watch = Watch { state, caller, feed, ticks, ended: false };
    let events = Body::from_stream(futures::stream::unfold(watch, Watch::next));
    Ok(([(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")], events).into_response())
}

/// A caller who watches a sync.
struct Watch {
    state: ApiState,
    caller: Caller,
    feed: Arc<Feed>,
    ticks: Interval,
    ended: bool,
}

impl Watch {
    /// The next event, or `None` after the last: the sync ended, is missing, is not this caller's to see any
    /// more, or the process stops.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.ended {
            return None;
        }
        tokio::select! {
            () = self.state.stopping.cancelled() => return None,
            _ = self.ticks.tick() => {}
        }
        // The token first: what it may see now is what it is shown.
        let caller = match self.caller.refreshed(&self.state).await {
            Ok(caller) => caller?,
            Err(_) => return Some((Ok(NOTHING), self)),
        };
        match self.feed.latest(&self.state).await {
            Ok(reading) if caller.sees(reading.project) => {
                self.ended = reading.is_last;
                Some((Ok(reading.event.clone()), self))
            }
            Ok(_) | Err(Missing::Sync) => None,
            Err(Missing::Database) => Some((Ok(NOTHING), self)),
        }
    }
}

/// The syncs that are watched. Clones share them.
#[derive(Clone)]
pub(super) struct Feeds {
    feeds: Arc<Mutex<HashMap<i64, Weak<Feed>>>>,
    share: Share,
}

impl Default for Feeds {
    fn default() -> Self {
        Self { feeds: Arc::default(), share: Share::new(CONNECTIONS) }
    }
}

impl Feeds {
    /// The feed of a sync, which all its watchers share.
    fn of(&self, sync: i64) -> Arc<Feed> {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = feeds.get(&sync).and_then(Weak::upgrade) {
            return feed;
        }
        // Those without watchers are as many as there were streams, at most.
        feeds.retain(|_, feed| feed.strong_count() > 0);
        let feed = Arc::new(Feed { sync, latest: tokio::sync::Mutex::default() });
        feeds.insert(sync, Arc::downgrade(&feed));
        feed
    }
}

/// What the watchers of one sync share.
struct Feed {
    sync: i64,
    /// The last reading, and when it came. Held while the sync is read, so that it is read once.
    latest: tokio::sync::Mutex<Option<(Instant, Latest)>>,
}

/// What a reading gave.
type Latest = Result<Arc<Reading>, Missing>;

/// A sync as it was read.
struct Reading {
    project: i64,
    is_last: bool,
    event: Bytes,
}

/// Why there is no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Sync,
    /// A moment later there may be something to show again.
    Database,
}

impl Feed {
    /// The sync as it was less than a second ago.
    async fn latest(&self, state: &ApiState) -> Latest {
        let mut latest = self.latest.lock().await;
        if let Some((_, reading)) = latest.as_ref().filter(|(read, _)| read.elapsed() < FRESH) {
            return reading.clone();
        }
        let reading = state.feeds.share.scope(state.db.in_time(self.read(state))).await;
        let reading = match reading {
            Ok(reading) => Ok(Arc::new(reading)),
            Err(longshore_db::Error::NotFound(_)) => Err(Missing::Sync),
            Err(error) => {
                tracing::debug!(
                    event = "sync_feed_failed",
                    sync.id = self.sync,
                    error = error_chain(&error),
                    "could not read a sync for its watchers"
                );
                Err(Missing::Database)
            }
        };
        latest.insert((Instant::now(), reading)).1.clone()
    }

    async fn read(&self, state: &ApiState) -> longshore_db::Result<Reading> {
        state.metrics.feed_reads.inc();
        let client = state.db.client().await?;
        let row = syncs::get(&client, self.sync).await?;
        let (project, is_last) = (row.project_id, !row.status.is_live());
        let body = with_jobs(&client, row).await?.without_options();
        drop(client);
        let json = serde_json::to_string(&body).map_err(|error| longshore_db::Error::unreadable("syncs", error))?;
        let name = if is_last { "end" } else { "progress" };
        Ok(Reading { project, is_last, event: format!("event: {name}\ndata: {json}\n\n").into() })
    }
}
