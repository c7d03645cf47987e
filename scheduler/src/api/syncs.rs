//! Syncs: what runs and ran, its progress, and stopping or repeating it. Their events are in `sync_events`.

use axum::extract::State;
use chrono::{DateTime, Utc};
use longshore_db::syncs::{self, JobRow, SyncFilter, SyncRow};
use longshore_db::{Bounded, Client, Counts, Error, audit};
use longshore_model::{Direction, ExportOptions, JobKind, JobState, StorageKind, SyncStatus};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::answer::{self, Answer};
use super::auth::Caller;
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Json, Path, UrlQuery};
use super::memory::Reserved;
use super::query::{JobsQuery, SyncQuery};

/// Syncs per answer unless the caller says otherwise.
const DEFAULT_LIMIT: i64 = 50;

/// More would only make one slow answer of several quick ones.
const MAX_LIMIT: i64 = 500;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(cancel)).routes(routes!(retry))
}

/// One page of syncs, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct SyncList {
    syncs: Vec<SyncBody>,
    /// Send it as `before` for the next page; null after the last. A page ends early at 16 MiB.
    next_before: Option<i64>,
}

/// A sync.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SyncBody {
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
    /// The first 1,000, or those after `jobs_after`. Left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Vec<JobBody>>,
    /// If there are more jobs: send it as `jobs_after` for the next ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_jobs_after: Option<i64>,
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
    fn new(row: SyncRow, jobs: Option<Bounded<JobRow>>, now: DateTime<Utc>) -> Self {
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
            next_jobs_after: jobs.as_ref().filter(|jobs| jobs.is_cut).and_then(|jobs| Some(jobs.rows.last()?.id)),
            jobs: jobs.map(|jobs| jobs.rows.into_iter().map(JobBody::new).collect()),
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
) -> ApiResult<Answer> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let filter = SyncFilter {
        project: query.project,
        projects: caller.scope().map(<[i64]>::to_vec),
        storage: query.storage,
        status: query.status,
        before: query.before,
        limit: limit + 1,
    };
    let (state, caller, filter) = (&state, &caller, &filter);
    let read = |most| async move { Ok(syncs::list(&state.db.client().await?, filter, most).await?) };
    let (mut rows, reserved) = answer::rows(state, caller, read).await?;
    let more = i64::try_from(rows.rows.len()).is_ok_and(|count| count > limit);
    if more {
        rows.rows.pop();
    }
    let now = Utc::now();
    let list = SyncList {
        next_before: rows.rows.last().filter(|_| more || rows.is_cut).map(|row| row.id),
        syncs: rows.rows.into_iter().map(|row| SyncBody::new(row, None, now)).collect(),
    };
    Answer::of_rows(state, caller, &list, reserved).await
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
    let client = state.db.client().await?;
    let row = seen(&client, &caller, id).await?;
    let sync = jobs_after(&client, row, query.jobs_after.unwrap_or(0)).await?;
    drop(client);
    Answer::of_rows(&state, &caller, &sync, Reserved::default()).await
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

/// The sync, if it is the caller's to see.
async fn seen(client: &Client, caller: &Caller, id: i64) -> ApiResult<SyncRow> {
    let row = syncs::get(client, id).await?;
    if caller.sees(row.project_id) { Ok(row) } else { Err(ApiError::not_found(format!("sync {id}"))) }
}

/// Jobs of one answer. A job takes about 700 bytes; a sync that is split for 1,000 slots has some thousands.
const MOST_JOBS: i64 = 1_000;

/// Bytes of the jobs of one answer: reasons are short, so it is reached by none that a worker writes.
const MOST_JOB_BYTES: i64 = 2 * 1024 * 1024;

pub(super) async fn with_jobs(client: &Client, row: SyncRow) -> Result<SyncBody, Error> {
    jobs_after(client, row, 0).await
}

async fn jobs_after(client: &Client, row: SyncRow, after: i64) -> Result<SyncBody, Error> {
    let mut jobs = syncs::jobs(client, row.id, after, MOST_JOBS + 1, MOST_JOB_BYTES).await?;
    if i64::try_from(jobs.rows.len()).is_ok_and(|count| count > MOST_JOBS) {
        jobs.rows.pop();
        jobs.is_cut = true;
    }
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
