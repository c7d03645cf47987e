//! The dry run of a sync: judges all keys of a storage as a sync would, and writes nothing.
//!
//! The answer is a stream of events, because a large bucket takes minutes: one with the counts so far each second, and the report
//! in the last one. The memory is that of one page, whatever the number of keys.

use std::collections::HashSet;
use std::convert::Infallible;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use longshore_filter::KeyFilter;
use longshore_model::{Direction, StorageKind};
use longshore_storage::{ListPage, Pages, Storage, StorageError, explain};
use serde::Serialize;
use serde_json::Map;
use tokio::time::{Instant, timeout_at};

use super::judge::Judge;
use super::keys::Keys;
use super::{Forecast, ImportReport, REPORT_BYTES, Subject, conclude};
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::error::{ApiError, ApiResult, ErrorBody};
use crate::api::extract::Path;
use crate::api::memory::Reserved;
use crate::api::storages::change::Draft;
use crate::api::storages::collection::Collection;
use crate::api::storages::own_exports::OwnExports;

/// Time between two events with the counts so far.
const EVERY: Duration = Duration::from_secs(1);

/// The longest dry run. A listing of a hundred million keys takes about this long.
const LONGEST: Duration = Duration::from_secs(6 * 60 * 60);

/// Keys that are compared to find those that a listing without order repeats. Each takes about 20 bytes.
const MOST_COMPARED: usize = 500_000;

/// The data of an event.
#[derive(Debug, Serialize)]
struct Judged {
    /// Whether this is the last event.
    done: bool,
    /// Keys that were looked at so far.
    looked_at: u64,
    /// Keys that a sync would take, so far.
    matched: u64,
    /// Whether each key is counted once. A store without order may repeat keys, of which the first 500,000 are compared.
    exact: bool,
    /// In the last event: the report on all keys, and warnings.
    #[serde(skip_serializing_if = "Option::is_none")]
    forecast: Option<Forecast>,
}

/// Judges all keys of an import storage as a sync would, without writing anything.
///
/// Streams server-sent events: `progress` once a second with `looked_at` and `matched`, and one `end`, whose `forecast` has the
/// report and the warnings as in the answer to `validate`.
#[utoipa::path(
    post, path = "/{kind}/{id}/dry-run", operation_id = "import_storages_dry_run", tag = "import storages",
    params(("kind" = StorageKind, Path, example = "s3"), ("id" = i64, Path)),
    responses(
        (status = 200, content_type = "text/event-stream", body = String), (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody)
    )
)]
pub(in crate::api::storages) async fn dry_run(
    State(state): State<ApiState>,
    Extension(direction): Extension<Direction>,
    caller: Caller,
    Path((kind, id)): Path<(String, i64)>,
) -> ApiResult<Response> {
    let draft = Collection::new(&state, &kind, direction)?.stored(&state, &caller, id).await?;
    let run = Box::pin(DryRun::open(state, caller, direction, id, draft)).await?;
    let events = Body::from_stream(futures::stream::unfold(run, |run| Box::pin(run.next())));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, events).into_response())
}

/// A dry run between two events.
struct DryRun {
    state: ApiState,
    caller: Caller,
    direction: Direction,
    id: i64,
    draft: Draft,
    storage: Arc<dyn Storage>,
    filter: Arc<KeyFilter>,
    keys: Keys,
    seen: Seen,
    /// The page that is not judged yet. `None` if it is not listed.
    page: Option<ListPage>,
    pages: Pages,
    deadline: Instant,
    has_ended: bool,
    _memory: Reserved,
}

impl DryRun {
    /// Lists the first page, so that a storage that does not work is refused with a status.
    async fn open(state: ApiState, caller: Caller, direction: Direction, id: i64, draft: Draft) -> ApiResult<Self> {
        let settings = &draft.fields.settings;
        let refused = |error: StorageError| ApiError::connection(&settings.connection, error);
        let memory = state.memory.reserve(&caller.name, REPORT_BYTES + 20 * MOST_COMPARED).await?;
        let filter = KeyFilter::of(settings).map_err(|error| ApiError::invalid("regex_filter", error.to_string()))?;
        let storage = (state.open)(draft.fields.project_id, settings, &draft.secrets).map_err(refused)?;
        let mut pages = Pages::new(filter.prefix(), filter.delimiter());
        let page = pages.next(storage.as_ref()).await.map_err(refused)?;
        Ok(Self {
            seen: Seen::new(),
            state,
            caller,
            direction,
            id,
            storage,
            filter: Arc::new(filter),
            keys: Keys::default(),
            page,
            pages,
            deadline: Instant::now() + LONGEST,
            has_ended: false,
            _memory: memory,
            draft,
        })
    }

    /// The next event. `None` if the last one was sent, if the token can no longer access the project, or if the process stops.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.has_ended || self.state.stopping.is_cancelled() {
            return None;
        }
        // Its projects may have changed. Without the database, the stream goes on as it is.
        if let Ok(caller) = self.caller.refreshed(&self.state).await {
            caller.filter(|caller| caller.sees(self.draft.fields.project_id))?;
        }
        let until = self.deadline.min(Instant::now() + EVERY);
        let mut failure = None;
        loop {
            match self.step().await {
                Ok(true) => {}
                Ok(false) => self.has_ended = true,
                Err(text) => failure = Some(text),
            }
            if self.has_ended || failure.is_some() || Instant::now() >= until {
                break;
            }
        }
        if failure.is_none() && !self.has_ended && Instant::now() >= self.deadline {
            failure = Some("The storage has more keys than six hours list. These are the first ones.".to_owned());
        }
        self.has_ended |= failure.is_some();
        let forecast = if self.has_ended { Some(self.forecast(failure).await) } else { None };
        let data = Judged {
            done: self.has_ended,
            looked_at: self.keys.looked_at(),
            matched: self.keys.matched(),
            exact: self.seen.is_exact,
            forecast,
        };
        let (name, json) =
            (if data.done { "end" } else { "progress" }, serde_json::to_string(&data).unwrap_or_default());
        Some((Ok(format!("event: {name}\ndata: {json}\n\n").into()), self))
    }

    fn judge<'a>(&'a self, exports: &'a OwnExports<'a>) -> Judge<'a> {
        let (state, storage) = (&self.state, self.storage.as_ref());
        Judge { state, storage, filter: &self.filter, settings: &self.draft.fields.settings, exports }
    }

    /// The text for the user about a failure of the storage.
    fn text(&self, error: &StorageError) -> String {
        explain(&self.draft.fields.settings.connection, error).text
    }

    /// Lists and judges a page. Returns whether there are more.
    ///
    /// # Errors
    /// The text for the user.
    async fn step(&mut self) -> Result<bool, String> {
        let page = match self.page.take() {
            Some(page) => page,
            None => {
                let listed = self.pages.next(self.storage.as_ref());
                let Ok(page) = timeout_at(self.deadline, listed).await else { return Ok(true) };
                let Some(page) = page.map_err(|error| self.text(&error))? else { return Ok(false) };
                page
            }
        };
        let may_repeat = self.pages.may_repeat(self.storage.as_ref());
        let page = if may_repeat { self.seen.without_repeats(page) } else { page };
        let mut keys = std::mem::take(&mut self.keys);
        // Read for each page: an export may have begun since the last one.
        let exports = OwnExports::of(&self.state, &self.draft).await;
        let added = keys.add(page, &self.judge(&exports), !may_repeat).await;
        self.keys = keys;
        added.map(|()| !self.keys.is_complete())
    }

    /// The report and the warnings on what was listed.
    async fn forecast(&self, failure: Option<String>) -> Forecast {
        let sent = Map::new();
        let subject = Subject { direction: self.direction, draft: &self.draft, sent: &sent, id: Some(self.id) };
        let (mut report, mut warnings) = (ImportReport::default(), Vec::new());
        self.keys.report(&mut report);
        let concluded =
            conclude(&subject, &self.judge(&OwnExports::none()), &self.keys, (&mut report, &mut warnings)).await;
        report.error = failure.or(concluded.err());
        Forecast { report: Some(report), warnings }
    }
}

/// The keys of a listing without order, to count each once.
struct Seen {
    hasher: RandomState,
    hashes: HashSet<u64>,
    is_exact: bool,
}

impl Seen {
    fn new() -> Self {
        Self { hasher: RandomState::new(), hashes: HashSet::new(), is_exact: true }
    }

    fn without_repeats(&mut self, mut page: ListPage) -> ListPage {
        page.objects.retain(|listed| {
            let hash = self.hasher.hash_one(listed.key());
            if self.hashes.len() >= MOST_COMPARED {
                self.is_exact = false;
                return !self.hashes.contains(&hash);
            }
            self.hashes.insert(hash)
        });
        page
    }
}
