//! The quarantine routes: list quarantined objects, replay or discard them.

use std::collections::BTreeMap;

use axum::extract::State;
use jiff::Timestamp;
use longshore_db::host;
use longshore_db::lifecycle::RequestedBy;
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
use super::started::not_started;

/// Rows per page by default.
const DEFAULT_LIMIT: i64 = 100;

/// Larger pages would be slow, and a client gains nothing over several quick ones.
const MAX_LIMIT: i64 = 1_000;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route(Role::Read, routes!(list))
        .route(Role::Sync, routes!(replay_one))
        .route(Role::Sync, routes!(discard_one))
        .route(Role::Sync, routes!(replay_many))
        .route(Role::Sync, routes!(discard_many))
}

/// One page of quarantined objects, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct QuarantineList {
    quarantine: Vec<QuarantineBody>,
    /// Send it as `before` to get the next page; null on the last page. A page has at most 16 MiB.
    next_before: Option<i64>,
}

/// An object that could not be imported, or an annotation or task that could not be exported.
#[derive(Debug, Serialize, ToSchema)]
struct QuarantineBody {
    id: i64,
    storage: i64,
    project: i64,
    kind: StorageKind,
    /// The sync that quarantined it last.
    sync: i64,
    key: String,
    etag: Option<String>,
    size: Option<i64>,
    /// Exports: the ID of the annotation or task that could not be written; null for imports.
    unit: Option<i64>,
    reason: QuarantineReason,
    /// What is wrong and what to do, as text for users.
    detail: String,
    /// Where the fault is in the object, in bytes; null if unknown.
    byte_offset: Option<i64>,
    /// The item of the object that has the fault, from 0; null if unknown.
    row_index: Option<i32>,
    /// The text around the fault; null if there is none.
    excerpt: Option<String>,
    state: String,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize")]
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

/// Which rows to replay or discard. A project, a storage or a sync is required.
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
    /// `open` by default.
    #[serde(default)]
    state: Option<QuarantineState>,
}

/// The result of a replay or discard.
#[derive(Debug, Serialize, ToSchema)]
struct QuarantineDecision {
    /// Rows that changed.
    count: i64,
    /// Replay: the IDs of the syncs that try the objects again.
    syncs: Vec<i64>,
}

/// Lists quarantined objects, newest first.
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
        let has_more = i64::try_from(rows.rows.len()).is_ok_and(|count| count > limit);
        if has_more {
            rows.rows.pop();
        }
        let list = QuarantineList {
            next_before: rows.rows.last().filter(|_| has_more || rows.is_cut).map(|row| row.id),
            quarantine: rows.rows.into_iter().map(QuarantineBody::from).collect(),
        };
        (list, None)
    };
    Answer::list(state, caller, read, show).await
}

/// Tries one object again: marks it, and starts a sync unless one is live.
#[utoipa::path(
    post, path = "/api/quarantine/{id}/replay", operation_id = "quarantine_replay", tag = "quarantine",
    params(("id" = i64, Path)), responses((status = 200, body = QuarantineDecision), (status = 404, body = ErrorBody))
)]
async fn replay_one(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> ApiResult<Json<QuarantineDecision>> {
    decide_one(&state, &caller, id, Decision::Replay).await
}

/// Gives up one object: later syncs skip it unless it changes.
#[utoipa::path(
    post, path = "/api/quarantine/{id}/discard", operation_id = "quarantine_discard", tag = "quarantine",
    params(("id" = i64, Path)), responses((status = 200, body = QuarantineDecision), (status = 404, body = ErrorBody))
)]
async fn discard_one(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> ApiResult<Json<QuarantineDecision>> {
    decide_one(&state, &caller, id, Decision::Discard).await
}

/// Tries many objects again.
#[utoipa::path(
    post, path = "/api/quarantine/replay", operation_id = "quarantine_replay_many", tag = "quarantine",
    request_body = Selection, responses((status = 200, body = QuarantineDecision), (status = 400, body = ErrorBody))
)]
async fn replay_many(
    State(state): State<ApiState>,
    caller: Caller,
    Json(selection): Json<Selection>,
) -> ApiResult<Json<QuarantineDecision>> {
    decide_many(&state, &caller, &selection, Decision::Replay).await
}

/// Gives up many objects.
#[utoipa::path(
    post, path = "/api/quarantine/discard", operation_id = "quarantine_discard_many", tag = "quarantine",
    request_body = Selection, responses((status = 200, body = QuarantineDecision), (status = 400, body = ErrorBody))
)]
async fn discard_many(
    State(state): State<ApiState>,
    caller: Caller,
    Json(selection): Json<Selection>,
) -> ApiResult<Json<QuarantineDecision>> {
    decide_many(&state, &caller, &selection, Decision::Discard).await
}

async fn decide_one(
    state: &ApiState,
    caller: &Caller,
    id: i64,
    decision: Decision,
) -> ApiResult<Json<QuarantineDecision>> {
    let client = state.db.client().await?;
    caller.visible(quarantine::get(&client, id).await?, |row| row.project_id, format!("quarantine row {id}"))?;
    let filter = QuarantineFilter { id: Some(id), projects: caller.scope(), ..QuarantineFilter::default() };
    decide(state, client, caller, &filter, decision).await
}

async fn decide_many(
    state: &ApiState,
    caller: &Caller,
    selection: &Selection,
    decision: Decision,
) -> ApiResult<Json<QuarantineDecision>> {
    // An empty selection would match every row of every project. It is more likely a mistake than a wish.
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

/// Marks rows and, for a replay, enqueues syncs of their storages, in one transaction.
async fn decide(
    state: &ApiState,
    mut client: Client,
    caller: &Caller,
    filter: &QuarantineFilter<'_>,
    decision: Decision,
) -> ApiResult<Json<QuarantineDecision>> {
    let tx = client.transaction().await.map_err(Error::from)?;
    let mut syncs = BTreeMap::new();
    if decision == Decision::Replay {
        // Before the rows are locked: a page locks rows of quarantine after those that keep other syncs out.
        for storage in quarantine::storages_of(&tx, filter).await? {
            let sync = host::enqueue(&tx, state.host, storage, RequestedBy::Replay, None, None).await;
            syncs.insert(storage, sync.map_err(not_started)?.sync_id);
        }
    }
    let by_storage = quarantine::decide(&tx, filter, decision).await?;
    let mut decided = QuarantineDecision { count: 0, syncs: syncs.values().copied().collect() };
    let action = match decision {
        Decision::Replay => "quarantine.replay",
        Decision::Discard => "quarantine.discard",
    };
    for (storage, count) in by_storage {
        decided.count += count;
        let entry = audit::Entry {
            storage_id: Some(storage),
            sync_id: syncs.get(&storage).copied(),
            detail: serde_json::json!({"count": count, "row": filter.id, "reason": filter.reason}),
            ..caller.did(action)
        };
        audit::write(&tx, &entry).await?;
    }
    tx.commit().await.map_err(Error::from)?;
    state.db.wake_relay();
    Ok(Json(decided))
}
