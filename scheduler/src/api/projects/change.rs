//! Changes and deletions of projects.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use longshore_db::syncs::NewDeletion;
use longshore_db::{Error, audit, lifecycle, projects};
use longshore_model::{Deletion, Removed};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{ProjectBody, answer, check};
use crate::api::ApiState;
use crate::api::access::{Caller, HostOwned, Policy, Role, Routes, Work};
use crate::api::answer::{Answer, BYTES_PER_ROW_BYTE};
use crate::api::deletions::{self, Confirmed};
use crate::api::error::{ApiError, ApiResult, ErrorBody};
use crate::api::extract::{Json, Path, UrlQuery};
use crate::api::query::{DeletionQuery, ProjectDeletion};
use crate::api::syncs::SyncBody;

pub(super) fn routes() -> Routes {
    let owned = Policy::from(Role::Admin).native_only(HostOwned::Projects);
    let tasks = Policy::from(Role::Admin).native_only(HostOwned::Tasks).with_work(Work::WholeTables);
    Routes::default()
        .route(owned.with_large_body(), routes!(update))
        .route(owned.with_work(Work::WholeTables), routes!(delete))
        .route(tasks, routes!(delete_tasks))
}

/// The fields of a project to change. Fields that are left out stay.
#[derive(Debug, Deserialize, ToSchema)]
struct ProjectChange {
    #[serde(default)]
    title: Option<String>,
    /// Later syncs use its data key. Tasks stay as they are.
    #[serde(default)]
    label_config: Option<String>,
}

fn named(id: i64) -> String {
    format!("project {id}")
}

/// Refuses a project that does not exist or that the caller cannot access.
async fn find(state: &ApiState, caller: &Caller, id: i64) -> ApiResult<usize> {
    let size = projects::size(&state.db.client().await?, id).await?;
    let bytes = caller.visible(size, |_| id, named(id))?;
    Ok(usize::try_from(bytes).unwrap_or_default())
}

/// Changes a project.
#[utoipa::path(
    patch, path = "/api/projects/{id}", operation_id = "projects_update", tag = "projects", params(("id" = i64, Path)),
    request_body = ProjectChange,
    responses((status = 200, body = ProjectBody), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(change): Json<ProjectChange>,
) -> ApiResult<Answer> {
    let stored_bytes = find(&state, &caller, id).await?;
    let title = change.title.as_deref().map(str::trim);
    check(title, change.label_config.as_deref())?;
    // Before anything is written: the answer must not fail for lack of memory.
    let config_bytes = change.label_config.as_ref().map_or(stored_bytes, String::len);
    let reserved = state.memory.reserve(&caller.name, BYTES_PER_ROW_BYTE * config_bytes).await?;
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let row = projects::update(&tx, id, title, change.label_config.as_deref()).await?;
    let row = row.ok_or_else(|| ApiError::not_found(named(id)))?;
    let sent = [("title", title.is_some()), ("label_config", change.label_config.is_some())];
    let fields: Vec<&str> = sent.iter().filter(|(_, is_sent)| *is_sent).map(|(name, _)| *name).collect();
    let entry = audit::Entry {
        project_id: Some(id),
        detail: serde_json::json!({"fields": fields}),
        ..caller.did("project.update")
    };
    audit::write(&tx, &entry).await?;
    tx.commit().await.map_err(Error::from)?;
    drop(client);
    answer(&state, row, reserved).await
}

/// Deletes a project with its tasks, annotations and storages, as a sync. Objects stay in their buckets.
///
/// A project without tasks and storages is deleted at once.
#[utoipa::path(
    delete, path = "/api/projects/{id}", operation_id = "projects_delete", tag = "projects",
    params(("id" = i64, Path), ProjectDeletion),
    responses(
        (status = 202, body = SyncBody), (status = 204), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)
    )
)]
async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    UrlQuery(query): UrlQuery<ProjectDeletion>,
) -> ApiResult<Response> {
    find(&state, &caller, id).await?;
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    if lifecycle::delete_empty_project(&tx, id).await? {
        audit::write(&tx, &audit::Entry { project_id: Some(id), ..caller.did("project.delete") }).await?;
        tx.commit().await.map_err(Error::from)?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    tx.rollback().await.map_err(Error::from)?;
    drop(client);
    let deletion = Deletion { keep: false, removes: Some(Removed::Project), tasks: 0 };
    let new = NewDeletion { project_id: id, storage_id: None, deletion };
    deletions::start(&state, &caller, new, query.confirm.as_deref()).await
}

/// Deletes all tasks of a project with their annotations, as a sync.
///
/// The next syncs of its storages import their objects again, unless `keep=true`. No import into the project starts
/// meanwhile.
#[utoipa::path(
    delete, path = "/api/projects/{id}/tasks", operation_id = "projects_delete_tasks", tag = "projects",
    params(("id" = i64, Path), DeletionQuery),
    responses((status = 202, body = SyncBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody))
)]
async fn delete_tasks(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    UrlQuery(query): UrlQuery<DeletionQuery>,
) -> ApiResult<Response> {
    find(&state, &caller, id).await?;
    let confirmed = Confirmed::from(&query);
    let deletion = Deletion { keep: confirmed.keep, removes: None, tasks: 0 };
    let new = NewDeletion { project_id: id, storage_id: None, deletion };
    deletions::start(&state, &caller, new, confirmed.confirm).await
}
