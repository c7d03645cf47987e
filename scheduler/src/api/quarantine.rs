//! Quarantine: what could not be moved and why, to be tried again or given up.

use axum::extract::State;
use jiff::Timestamp;
use longshore_db::lifecycle::{RequestedBy, enqueue};
use longshore_db::quarantine::{self, Decision, QuarantineFilter, QuarantineRow};
use longshore_db::{Bounded, Client, Error, audit};
use longshore_model::{QuarantineReason, StorageKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::ApiState;
use super::access::{Caller, Role, Routes};
use super::answer::Answer;
use super::error::{ApiError, ApiResult, ErrorBody, NON_FIELD};
use super::extract::{Json, Path, UrlQuery};
use super::query::{QuarantineQuery, QuarantineState};

/// Rows per answer unless the caller says otherwise.
const DEFAULT_LIMIT: i64 = 100;

/// More would only make one slow answer of several quick ones.
const MAX_LIMIT: i64 = 1_000;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route(Role::Read, routes!(list))
        .route(Role::Sync, routes!(replay_one))
        .route(Role::Sync, routes!(discard_one))
        .route(Role::Sync, routes!(replay_many))
        .route(Role::Sync, routes!(discard_many))
}

/// One page of quarantine, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct QuarantineList {
    quarantine: Vec<QuarantineBody>,
    /// Send it as `before` for the next page; null after the last. A page ends early at 16 MiB.
    next_before: Option<i64>,
}

/// An object or annotation that could not be moved.
#[derive(Debug, Serialize, ToSchema)]
struct QuarantineBody {
    id: i64,
    storage: i64,
    project: i64,
    kind: StorageKind,
    /// The sync that set it aside last.
    sync: i64,
    key: String,
    etag: Option<String>,
    size: Option<i64>,
    /// Export: the annotation or task that could not be written.
    unit: Option<i64>,
    reason: QuarantineReason,
    /// What is wrong and what to do, for people.
    detail: String,
    /// Where in the object it is wrong, in bytes.
    byte_offset: Option<i64>,
    /// Which item of the object is wrong, from 0.
    row_index: Option<i32>,
    excerpt: Option<String>,
    state: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<QuarantineRow> for QuarantineBody {
    fn from(row: QuarantineRow) -> Self {
        Self {
            id: row.id,
            storage: row.storage_id,
            project: row.project_id,
            kind: row.kind,
            sync: row.sync_id,
            key: row.key,
            etag: row.etag,
            size: row.size,
            unit: row.unit_id,
            reason: row.reason,
            detail: row.detail,
            byte_offset: row.byte_offset,
            row_index: row.row_index,
            excerpt: row.excerpt,
            state: row.state,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Which rows to decide about. A project, a storage or a sync must be named.
#[derive(Debug, Deserialize, ToSchema)]
struct Selection {
    #[serde(default)]
    project: Option<i64>,
    #[serde(default)]
    storage: Option<i64>,
    #[serde(default)]
    sync: Option<i64>,
    #[serde(default)]
    reason: Option<QuarantineReason>,
    /// `open` unless said otherwise.
    #[serde(default)]
    state: Option<QuarantineState>,
}

/// What came of a decision.
#[derive(Debug, Serialize, ToSchema)]
struct Decided {
    /// Rows that were decided about.
    count: i64,
    /// Replay: the syncs that try again.
    syncs: Vec<i64>,
}

/// Lists quarantine, newest first.
#[utoipa::path(
    get, path = "/api/quarantine", operation_id = "quarantine_list", tag = "quarantine", params(QuarantineQuery),
    responses((status = 200, body = QuarantineList))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(query): UrlQuery<QuarantineQuery>,
) -> ApiResult<Answer> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let filter = QuarantineFilter {
        id: None,
        project: query.project,
        projects: caller.scope(),
        storage: query.storage,
        sync: query.sync,
        state: query.state.map(QuarantineState::as_str),
        reason: query.reason,
        before: query.before,
    };
    let (state, caller, filter) = (&state, &caller, &filter);
    let read = |most| async move { Ok(quarantine::list(&state.db.client().await?, filter, limit + 1, most).await?) };
    let show = |mut rows: Bounded<QuarantineRow>| {
        let more = i64::try_from(rows.rows.len()).is_ok_and(|count| count > limit);
        if more {
            rows.rows.pop();
        }
        let list = QuarantineList {
            next_before: rows.rows.last().filter(|_| more || rows.is_cut).map(|row| row.id),
            quarantine: rows.rows.into_iter().map(QuarantineBody::from).collect(),
        };
        (list, None)
    };
    Answer::list(state, caller, read, show).await
}

/// Tries one object again: marks it and starts a sync unless one is under way.
#[utoipa::path(
    post, path = "/api/quarantine/{id}/replay", operation_id = "quarantine_replay", tag = "quarantine",
    params(("id" = i64, Path)), responses((status = 200, body = Decided), (status = 404, body = ErrorBody))
)]
async fn replay_one(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Json<Decided>> {
    decide_one(&state, &caller, id, Decision::Replay).await
}

/// Gives one object up: later syncs leave it alone unless it changes.
#[utoipa::path(
    post, path = "/api/quarantine/{id}/discard", operation_id = "quarantine_discard", tag = "quarantine",
    params(("id" = i64, Path)), responses((status = 200, body = Decided), (status = 404, body = ErrorBody))
)]
async fn discard_one(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Json<Decided>> {
    decide_one(&state, &caller, id, Decision::Discard).await
}

/// Tries many objects again.
#[utoipa::path(
    post, path = "/api/quarantine/replay", operation_id = "quarantine_replay_many", tag = "quarantine",
    request_body = Selection, responses((status = 200, body = Decided), (status = 400, body = ErrorBody))
)]
async fn replay_many(
    State(state): State<ApiState>,
    caller: Caller,
    Json(selection): Json<Selection>,
) -> ApiResult<Json<Decided>> {
    decide_many(&state, &caller, &selection, Decision::Replay).await
}

/// Gives many objects up.
#[utoipa::path(
    post, path = "/api/quarantine/discard", operation_id = "quarantine_discard_many", tag = "quarantine",
    request_body = Selection, responses((status = 200, body = Decided), (status = 400, body = ErrorBody))
)]
async fn discard_many(
    State(state): State<ApiState>,
    caller: Caller,
    Json(selection): Json<Selection>,
) -> ApiResult<Json<Decided>> {
    decide_many(&state, &caller, &selection, Decision::Discard).await
}

async fn decide_one(state: &ApiState, caller: &Caller, id: i64, decision: Decision) -> ApiResult<Json<Decided>> {
    let client = state.db.client().await?;
    let row = quarantine::get(&client, id).await?.filter(|row| caller.sees(row.project_id));
    row.ok_or_else(|| ApiError::not_found(format!("quarantine row {id}")))?;
    let filter = QuarantineFilter { id: Some(id), projects: caller.scope(), ..QuarantineFilter::default() };
    decide(state, client, caller, &filter, decision).await
}

async fn decide_many(
    state: &ApiState,
    caller: &Caller,
    selection: &Selection,
    decision: Decision,
) -> ApiResult<Json<Decided>> {
    // An empty selection would be everything, everywhere: more than a slip of the hand should do.
    if selection.project.is_none() && selection.storage.is_none() && selection.sync.is_none() {
        return Err(ApiError::invalid(NON_FIELD, "Name a project, a storage or a sync."));
    }
    let client = state.db.client().await?;
    let filter = QuarantineFilter {
        project: selection.project,
        projects: caller.scope(),
        storage: selection.storage,
        sync: selection.sync,
        reason: selection.reason,
        state: Some(selection.state.unwrap_or(QuarantineState::Open).as_str()),
        ..QuarantineFilter::default()
    };
    decide(state, client, caller, &filter, decision).await
}

/// Marks rows and, for replay, enqueues their storages' syncs: both or neither.
async fn decide(
    state: &ApiState,
    mut client: Client,
    caller: &Caller,
    filter: &QuarantineFilter<'_>,
    decision: Decision,
) -> ApiResult<Json<Decided>> {
    let tx = client.transaction().await.map_err(Error::from)?;
    let by_storage = quarantine::decide(&tx, filter, decision).await?;
    let mut decided = Decided { count: 0, syncs: Vec::new() };
    for (storage, count) in by_storage {
        decided.count += count;
        let (action, sync) = match decision {
            Decision::Replay => {
                let sync = enqueue(&tx, storage, RequestedBy::Replay, None, None).await?.sync_id;
                decided.syncs.push(sync);
                ("quarantine.replay", Some(sync))
            }
            Decision::Discard => ("quarantine.discard", None),
        };
        let entry = audit::Entry {
            storage_id: Some(storage),
            sync_id: sync,
            detail: serde_json::json!({"count": count, "row": filter.id, "reason": filter.reason}),
            ..caller.did(action)
        };
        audit::write(&tx, &entry).await?;
    }
    tx.commit().await.map_err(Error::from)?;
    state.db.wake_relay();
    Ok(Json(decided))
}
