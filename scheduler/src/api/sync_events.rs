//! The event stream of a sync: its progress once a second, as server-sent events.
//!
//! All watchers of a sync share one reading per second; the first one whose tick comes reads it. A stream holds no
//! database connection, and ends when its token can no longer access the sync.

use longshore_telemetry::error_chain;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use longshore_db::{Outage, Share, syncs};
use longshore_model::{WaitingFor, time};
use serde_json::json;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use utoipa_axum::routes;

use super::ApiState;
use super::access::{Caller, Policy, Role, Routes, Work};
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::Path;
use super::syncs::with_jobs;

/// Time between two events of a stream. Users watch it, so more events than one per second are no help, although a
/// worker commits several pages per second.
const EVERY: Duration = Duration::from_secs(1);

/// How old a reading may be to be shared. A little less than a tick, so that watchers with simultaneous ticks share one
/// reading. A shorter time would cause more readings.
const FRESH: Duration = Duration::from_millis(900);

/// Database connections for all streams together. More would take them from requests; with only one, a slow reading
/// would delay the others.
const CONNECTIONS: usize = 2;

pub(super) fn routes() -> Routes {
    Routes::default().route(Policy::from(Role::Read).with_work(Work::Stream), routes!(events))
}

/// Streams a sync as server-sent events: `progress` once a second, and `end` when it has ended. They hold all fields of
/// the sync except `options`, which do not change. While the database does not answer, `waiting` says since when.
///
/// The stream ends early if its token is deleted or can no longer access the project.
#[utoipa::path(
    get, path = "/api/syncs/{id}/events", operation_id = "syncs_events", tag = "syncs", params(("id" = i64, Path)),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 404, body = ErrorBody))
)]
async fn events(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Response> {
    let feed = state.feeds.of(id);
    match feed.latest(&state).await {
        Ok(reading) => drop(caller.visible(Some(reading), |reading| reading.project, format!("sync {id}"))?),
        Err(Missing::Sync) => return Err(ApiError::not_found(format!("sync {id}"))),
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
    /// The next event. `None` if the sync has ended or is missing, if the caller can no longer access it, or if the
    /// process stops.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.ended {
            return None;
        }
        tokio::select! {
            () = self.state.stopping.cancelled() => return None,
            _ = self.ticks.tick() => {}
        }
        // Check the token before each event, because its projects may have changed.
        let caller = match self.caller.refreshed(&self.state).await {
            Ok(caller) => caller?,
            Err(_) => return Some((Ok(self.waiting()), self)),
        };
        match self.feed.latest(&self.state).await {
            Ok(reading) if caller.sees(reading.project) => {
                self.ended = reading.is_last;
                Some((Ok(reading.event.clone()), self))
            }
            Ok(_) | Err(Missing::Sync) => None,
            Err(Missing::Database) => Some((Ok(self.waiting()), self)),
        }
    }
}

impl Watch {
    /// The event of a sync that cannot be read, because the database does not answer. It also keeps clients and proxies
    /// from closing the stream.
    fn waiting(&self) -> Bytes {
        let fault = self.state.situation.database_fault();
        let data = json!({
            "id": self.feed.sync,
            "waiting_for": WaitingFor::Database,
            "waiting_since": time::text(fault.as_ref().map_or_else(Timestamp::now, |fault| fault.since)),
            "waiting_error": fault.map_or_else(|| Outage::Unreachable.text().to_owned(), |fault| fault.error),
        });
        format!("event: waiting\ndata: {data}\n\n").into()
    }
}

/// The feeds of all watched syncs. Clones share them.
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
        // Without this, the map would keep an entry of every sync that was ever watched.
        feeds.retain(|_, feed| feed.strong_count() > 0);
        let feed = Arc::new(Feed { sync, latest: tokio::sync::Mutex::default() });
        feeds.insert(sync, Arc::downgrade(&feed));
        feed
    }
}

/// The latest reading of a sync, which its watchers share.
struct Feed {
    sync: i64,
    /// The last reading and its time. Locked while the sync is read, so that other watchers wait for this reading.
    latest: tokio::sync::Mutex<Option<(Instant, Latest)>>,
}

/// The result of a reading.
type Latest = Result<Arc<Reading>, Missing>;

/// A sync at the time of a reading.
struct Reading {
    project: i64,
    is_last: bool,
    event: Bytes,
}

/// Why there is no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Sync,
    /// A later reading may succeed.
    Database,
}

impl Feed {
    /// A reading of the sync that is at most [`FRESH`] old.
    async fn latest(&self, state: &ApiState) -> Latest {
        let mut latest = self.latest.lock().await;
        if let Some((_, reading)) = latest.as_ref().filter(|(read, _)| read.elapsed() < FRESH) {
            return reading.clone();
        }
        let reading = state.feeds.share.scope(state.db.in_time(self.read(state))).await;
        state.situation.record("event streams", reading.as_ref());
        let reading = match reading {
            Ok(reading) => Ok(Arc::new(reading)),
            Err(longshore_db::Error::NotFound(_)) => Err(Missing::Sync),
            Err(error) => {
                tracing::debug!(
                    event = "sync_feed_failed",
                    sync.id = self.sync,
                    error = error_chain(&error),
                    "could not read a sync for event streams"
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
        let body = with_jobs(state, &client, row).await?.without_options();
        drop(client);
        let json = serde_json::to_string(&body).map_err(|error| longshore_db::Error::unreadable("syncs", error))?;
        let name = if is_last { "end" } else { "progress" };
        Ok(Reading { project, is_last, event: format!("event: {name}\ndata: {json}\n\n").into() })
    }
}
