//! The sync routes: list, show, cancel and retry. Event streams are in `sync_events`.

mod body;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use longshore_db::syncs::{self, SyncFilter, SyncRow};
use longshore_db::{Bounded, Client, Error, GenericClient, Transaction, audit, host, job_warnings, jobs, lifecycle};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::ApiState;
use super::access::{Caller, Role, Routes};
use super::answer::Answer;
use super::error::{ApiResult, ErrorBody};
use super::extract::{Path, UrlQuery};
use super::memory::Reserved;
use super::query::{JobsQuery, SyncQuery};
use super::started::{SYNC_ID, not_started};
pub(super) use body::SyncBody;

/// Syncs per page by default.
const DEFAULT_LIMIT: i64 = 50;

/// Larger pages would be slow, and a client gains nothing over several quick ones.
const MAX_LIMIT: i64 = 500;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route(Role::Read, routes!(list))
        .route(Role::Read, routes!(get))
        .route(Role::Sync, routes!(cancel))
        .route(Role::Sync, routes!(retry))
}

/// One page of syncs, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct SyncList {
    syncs: Vec<SyncBody>,
    /// Send it as `before` to get the next page; null on the last page. A page has at most 16 MiB.
    next_before: Option<i64>,
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
) -> ApiResult<Answer> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let filter = SyncFilter {
        project: query.project,
        projects: caller.scope().map(<[i64]>::to_vec),
        storage: query.storage,
        status: query.status,
        // Postgres has no earlier times than 4713 BC, and there was no sync before 1970.
        since: query.since.map(|since| since.max(Timestamp::UNIX_EPOCH)),
        until: query.until.map(|until| until.max(Timestamp::UNIX_EPOCH)),
        before: query.before,
        limit: limit + 1,
    };
    let (state, caller, filter) = (&state, &caller, &filter);
    let read = |most| async move { Ok(syncs::list(&state.db.client().await?, filter, most).await?) };
    let show = |mut rows: Bounded<SyncRow>| {
        let has_more = i64::try_from(rows.rows.len()).is_ok_and(|count| count > limit);
        if has_more {
            rows.rows.pop();
        }
        let now = Timestamp::now();
        let list = SyncList {
            next_before: rows.rows.last().filter(|_| has_more || rows.is_cut).map(|row| row.id),
            syncs: rows.rows.into_iter().map(|row| SyncBody::new(row, None, &state.situation, now)).collect(),
        };
        (list, None)
    };
    Answer::list(state, caller, read, show).await
}

/// Shows a sync with its jobs.
#[utoipa::path(
    get, path = "/api/syncs/{id}", operation_id = "syncs_get", tag = "syncs", params(("id" = i64, Path), JobsQuery),
    responses((status = 200, body = SyncBody), (status = 404, body = ErrorBody))
)]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    UrlQuery(query): UrlQuery<JobsQuery>,
) -> ApiResult<Answer> {
    let (state, caller, after) = (&state, &caller, query.jobs_after.unwrap_or(0));
    let work = |mut reserved: Reserved| async move {
        let client = state.db.client().await?;
        let row = accessible(&client, caller, id).await?;
        let sync = jobs_after(state, &client, row, after).await?;
        drop(client);
        reserved.grow_to(sync.memory())?;
        Ok(sync.answer(state, reserved).await?)
    };
    state.memory.work(&caller.name, work).await
}

/// Cancels a sync immediately. Tasks and objects that it has written stay. A sync that has ended does not change.
#[utoipa::path(
    post, path = "/api/syncs/{id}/cancel", operation_id = "syncs_cancel", tag = "syncs", params(("id" = i64, Path)),
    responses((status = 200, body = SyncBody), (status = 404, body = ErrorBody))
)]
async fn cancel(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Answer> {
    let (state, caller) = (&state, &caller);
    let work = |mut reserved: Reserved| async move {
        let mut client = state.db.client().await?;
        let before = accessible(&client, caller, id).await?;
        let tx = client.transaction().await.map_err(Error::from)?;
        let row = lifecycle::cancel(&tx, id).await?;
        if before.status.is_live() {
            audit::write(&tx, &entry(caller, "sync.cancel", &row)).await?;
        }
        let sync = with_jobs(state, &tx, row).await?;
        // Before the commit, so that a request without memory for its answer changes nothing.
        reserved.grow_to(sync.memory())?;
        tx.commit().await.map_err(Error::from)?;
        drop(client);
        tracing::info!(event = "sync_cancelled", sync.id = id, storage.id = sync.storage, "sync cancelled");
        Ok(sync.answer(state, reserved).await?)
    };
    state.memory.work(&caller.name, work).await
}

/// Starts a sync of the same storage with the same options, or returns the one that is live.
#[utoipa::path(
    post, path = "/api/syncs/{id}/retry", operation_id = "syncs_retry", tag = "syncs", params(("id" = i64, Path)),
    responses((status = 200, body = SyncBody), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn retry(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Answer> {
    let (state, caller) = (&state, &caller);
    let work = |mut reserved: Reserved| async move {
        let mut client = state.db.client().await?;
        accessible(&client, caller, id).await?;
        let tx = client.transaction().await.map_err(Error::from)?;
        let enqueued = host::retry(&tx, state.host, id).await.map_err(not_started)?;
        let row = syncs::get(&tx, enqueued.sync_id).await?;
        if enqueued.created {
            audit::write(&tx, &entry(caller, "sync.retry", &row)).await?;
        }
        let sync = with_jobs(state, &tx, row).await?;
        // Before the commit, so that a request without memory for its answer changes nothing.
        reserved.grow_to(sync.memory())?;
        tx.commit().await.map_err(Error::from)?;
        drop(client);
        state.db.wake_relay();
        Ok(sync.answer(state, reserved).await?)
    };
    state.memory.work(&caller.name, work).await
}

/// Commits the transaction that enqueued a sync, and answers with the sync.
pub(super) async fn begun(
    state: &ApiState,
    tx: Transaction<'_>,
    id: i64,
    mut reserved: Reserved,
) -> ApiResult<Response> {
    let sync = with_jobs(state, &tx, syncs::get(&tx, id).await?).await?;
    // Before the commit, so that a request without memory for its answer changes nothing.
    reserved.grow_to(sync.memory())?;
    tx.commit().await.map_err(Error::from)?;
    state.db.wake_relay();
    let header = [(SYNC_ID, HeaderValue::from(id))];
    Ok((StatusCode::ACCEPTED, header, sync.answer(state, reserved).await?).into_response())
}

/// The row of a sync, if the caller can access its project.
async fn accessible(client: &Client, caller: &Caller, id: i64) -> ApiResult<SyncRow> {
    caller.visible(Some(syncs::get(client, id).await?), |row| row.project_id, format!("sync {id}"))
}

/// The most jobs in one answer. A job takes about 700 bytes; a sync that is split for 1,000 slots has several thousand.
const MOST_JOBS: i64 = 1_000;

/// The most bytes of jobs in one answer. The details that workers write are short, so their jobs do not reach it.
const MOST_JOB_BYTES: i64 = 2 * 1024 * 1024;

pub(super) async fn with_jobs(state: &ApiState, client: &impl GenericClient, row: SyncRow) -> Result<SyncBody, Error> {
    jobs_after(state, client, row, 0).await
}

async fn jobs_after(
    state: &ApiState,
    client: &impl GenericClient,
    row: SyncRow,
    after: i64,
) -> Result<SyncBody, Error> {
    let mut jobs = jobs::of_sync(client, row.id, after, MOST_JOBS + 1, MOST_JOB_BYTES).await?;
    if i64::try_from(jobs.rows.len()).is_ok_and(|count| count > MOST_JOBS) {
        jobs.rows.pop();
        jobs.is_cut = true;
    }
    let warned = job_warnings::of_sync(client, row.id).await?;
    Ok(SyncBody::new(row, Some(jobs), &state.situation, Timestamp::now()).with_warned(warned))
}

fn entry<'a>(caller: &'a Caller, action: &'static str, row: &SyncRow) -> audit::Entry<'a> {
    audit::Entry {
        project_id: Some(row.project_id),
        storage_id: row.storage_id,
        sync_id: Some(row.id),
        ..caller.did(action)
    }
}
