//! Syncs: what runs and ran, its progress, and stopping or repeating it.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use chrono::{DateTime, Utc};
use futures::Stream;
use longshore_db::syncs::{self, JobRow, SyncFilter, SyncRow};
use longshore_db::{Client, Counts, Error, audit};
use longshore_model::{Direction, ExportOptions, JobKind, JobState, StorageKind, SyncStatus};
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior, interval};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Caller;
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Json, Path, UrlQuery};
use super::query::SyncQuery;

/// Syncs per answer unless the caller says otherwise.
const DEFAULT_LIMIT: i64 = 50;

/// More would only make one slow answer of several quick ones.
const MAX_LIMIT: i64 = 500;

/// How often an event stream looks. People watch it; a worker commits several pages a second.
const EVERY: Duration = Duration::from_secs(1);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .routes(routes!(events))
}

/// One page of syncs, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct SyncList {
    syncs: Vec<SyncBody>,
    /// Send it as `before` for the next page; null after the last.
    next_before: Option<i64>,
}

/// A sync.
#[derive(Debug, Serialize, ToSchema)]
struct SyncBody {
    id: i64,
    storage: i64,
    project: i64,
    kind: StorageKind,
    direction: Direction,
    status: SyncStatus,
    options: ExportOptions,
    requested_by: String,
    idempotency_key: Option<String>,
    /// Why it failed: a word that does not change.
    reason: Option<String>,
    /// Why it failed and what to do, for people.
    detail: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    /// What it did so far, by counter.
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    counts: Counts,
    /// Objects a second since it started.
    rate: Option<f64>,
    /// Left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Vec<JobBody>>,
}

/// One key range of a sync.
#[derive(Debug, Serialize, ToSchema)]
struct JobBody {
    id: i64,
    kind: JobKind,
    state: JobState,
    /// How often a worker has taken it.
    attempt: i32,
    /// Failures in a row without progress.
    failures: i32,
    reason: Option<String>,
    detail: Option<String>,
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    counts: Counts,
}

impl SyncBody {
    fn new(row: SyncRow, jobs: Option<Vec<JobRow>>, now: DateTime<Utc>) -> Self {
        Self {
            id: row.id,
            storage: row.storage_id,
            project: row.project_id,
            kind: row.kind,
            direction: row.direction,
            status: row.status,
            rate: row.started_at.and_then(|started| rate(&row.counts, row.finished_at.unwrap_or(now) - started)),
            options: row.options,
            requested_by: row.requested_by,
            idempotency_key: row.idempotency_key,
            reason: row.reason,
            detail: row.detail,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            counts: row.counts,
            jobs: jobs.map(|jobs| jobs.into_iter().map(JobBody::new).collect()),
        }
    }
}

impl JobBody {
    fn new(row: JobRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            state: row.state,
            attempt: row.attempt,
            failures: row.failures,
            reason: row.reason,
            detail: row.detail,
            counts: row.counts,
        }
    }
}

/// Objects a second, once there is time to divide by.
fn rate(counts: &Counts, elapsed: chrono::TimeDelta) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a rate is read by people, not counted with")]
    let objects = (counts.matched + counts.exported + counts.unchanged + counts.deleted + counts.kept) as f64;
    let seconds = elapsed.as_seconds_f64();
    (seconds > 0.0).then(|| objects / seconds)
}

/// Lists syncs, newest first.
#[utoipa::path(
    get, path = "/api/syncs", operation_id = "syncs_list", tag = "syncs", params(SyncQuery),
    responses((status = 200, body = SyncList))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(query): UrlQuery<SyncQuery>,
) -> ApiResult<Json<SyncList>> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let filter = SyncFilter {
        project: query.project,
        projects: caller.scope().map(<[i64]>::to_vec),
        storage: query.storage,
        status: query.status,
        before: query.before,
        limit: limit + 1,
    };
    let client = state.db.client().await?;
    let mut rows = syncs::list(&client, &filter).await?;
    let more = i64::try_from(rows.len()).is_ok_and(|count| count > limit);
    if more {
        rows.pop();
    }
    let now = Utc::now();
    Ok(Json(SyncList {
        next_before: rows.last().filter(|_| more).map(|row| row.id),
        syncs: rows.into_iter().map(|row| SyncBody::new(row, None, now)).collect(),
    }))
}

/// Shows a sync with its jobs.
#[utoipa::path(
    get, path = "/api/syncs/{id}", operation_id = "syncs_get", tag = "syncs", params(("id" = i64, Path)),
    responses((status = 200, body = SyncBody), (status = 404, body = ErrorBody))
)]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Json<SyncBody>> {
    let client = state.db.client().await?;
    let row = seen(&client, &caller, id).await?;
    Ok(Json(with_jobs(&client, row).await?))
}

/// Cancels a sync at once; what it did stays. One that has ended stays as it ended.
#[utoipa::path(
    post, path = "/api/syncs/{id}/cancel", operation_id = "syncs_cancel", tag = "syncs", params(("id" = i64, Path)),
    responses((status = 200, body = SyncBody), (status = 404, body = ErrorBody))
)]
async fn cancel(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Json<SyncBody>> {
    let mut client = state.db.client().await?;
    let before = seen(&client, &caller, id).await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let row = syncs::cancel(&tx, id).await?;
    if before.status.is_live() {
        audit::write(&tx, &entry(&caller, "sync.cancel", &row)).await?;
    }
    tx.commit().await.map_err(Error::from)?;
    tracing::info!(sync.id = id, storage.id = row.storage_id, "a sync was cancelled");
    Ok(Json(with_jobs(&client, row).await?))
}

/// Starts a sync of the same storage with the same options, or finds the one that runs.
#[utoipa::path(
    post, path = "/api/syncs/{id}/retry", operation_id = "syncs_retry", tag = "syncs", params(("id" = i64, Path)),
    responses((status = 200, body = SyncBody), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn retry(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Json<SyncBody>> {
    let mut client = state.db.client().await?;
    seen(&client, &caller, id).await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let enqueued = syncs::retry(&tx, id).await?;
    let row = syncs::get(&tx, enqueued.sync_id).await?;
    if enqueued.created {
        audit::write(&tx, &entry(&caller, "sync.retry", &row)).await?;
    }
    tx.commit().await.map_err(Error::from)?;
    Ok(Json(with_jobs(&client, row).await?))
}

/// Streams a sync once a second as server-sent events: `progress`, and at last `end`.
#[utoipa::path(
    get, path = "/api/syncs/{id}/events", operation_id = "syncs_events", tag = "syncs", params(("id" = i64, Path)),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 404, body = ErrorBody))
)]
async fn events(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> ApiResult<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    seen(&state.db.client().await?, &caller, id).await?;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watch = Watch { state, caller, id, ticks, ended: false };
    Ok(Sse::new(futures::stream::unfold(watch, Watch::next)).keep_alive(KeepAlive::default()))
}

/// Someone who watches a sync.
struct Watch {
    state: ApiState,
    caller: Caller,
    id: i64,
    ticks: Interval,
    ended: bool,
}

impl Watch {
    /// The next event, or `None` after the last: the sync ended, is gone, or the process stops.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if self.ended {
            return None;
        }
        loop {
            tokio::select! {
                () = self.state.stopping.cancelled() => return None,
                _ = self.ticks.tick() => {}
            }
            let look = async {
                let client = self.state.db.client().await?;
                let row = seen(&client, &self.caller, self.id).await?;
                with_jobs(&client, row).await
            };
            match look.await {
                Ok(sync) => {
                    self.ended = !sync.status.is_live();
                    let name = if self.ended { "end" } else { "progress" };
                    let Ok(event) = Event::default().event(name).json_data(&sync) else { return None };
                    return Some((Ok(event), self));
                }
                // A hiccup of the database: a moment later there is something to show again.
                Err(ApiError::Database(error)) if error.is_unavailable() => {}
                Err(_) => return None,
            }
        }
    }
}

/// The sync, if it is the caller's to see.
async fn seen(client: &Client, caller: &Caller, id: i64) -> ApiResult<SyncRow> {
    let row = syncs::get(client, id).await?;
    if caller.sees(row.project_id) { Ok(row) } else { Err(ApiError::not_found(format!("sync {id}"))) }
}

async fn with_jobs(client: &Client, row: SyncRow) -> ApiResult<SyncBody> {
    let jobs = syncs::jobs(client, row.id).await?;
    Ok(SyncBody::new(row, Some(jobs), Utc::now()))
}

fn entry<'a>(caller: &'a Caller, action: &'static str, row: &SyncRow) -> audit::Entry<'a> {
    audit::Entry {
        project_id: Some(row.project_id),
        storage_id: Some(row.storage_id),
        sync_id: Some(row.id),
        ..caller.did(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn a_rate_counts_what_passed_and_needs_time() {
        let counts = Counts { listed: 100, matched: 30, exported: 10, ..Counts::default() };
        assert_eq!(rate(&counts, TimeDelta::seconds(4)), Some(10.0));
        assert_eq!(rate(&counts, TimeDelta::zero()), None);
    }
}
