//! The annotation routes. Exports write annotations; a deleted annotation also deletes its exported objects.

mod answer;
mod fields;

use axum::extract::State;
use axum::http::StatusCode;
use longshore_db::annotations::{self, AnnotationRow, AnnotationValues};
use longshore_db::{Client, Error, Transaction, audit, lifecycle, storages, tasks};
use utoipa_axum::routes;

use super::ApiState;
use super::access::{Caller, HostOwned, Policy, Role, Routes};
use super::answer::Answer;
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Json, Path, UrlQuery};
use super::memory::Reserved;
use super::query::AfterQuery;
use super::results::{MOST_LISTED, answer, listed, memory_of, stored_bytes, write_error};
use fields::AnnotationFields;

pub(super) use answer::AnnotationBody;

pub(super) fn routes() -> Routes {
    let read = Policy::from(Role::Read).native_only(HostOwned::Tasks);
    let write = Policy::from(Role::Sync).native_only(HostOwned::Tasks).with_large_body();
    Routes::default()
        .route(read, routes!(list))
        .route(write, routes!(create))
        .route(read, routes!(get))
        .route(write, routes!(update, delete))
}

/// Lists a task's annotations by ID, at most 1,000 or 16 MiB. Header `Link` has the URL of the next ones.
#[utoipa::path(
    get, path = "/api/tasks/{id}/annotations", operation_id = "annotations_list", tag = "annotations",
    params(("id" = i64, Path), AfterQuery),
    responses(
        (status = 200, body = [AnnotationBody<'_>]), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody)
    )
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(task): Path<i64>,
    UrlQuery(query): UrlQuery<AfterQuery>,
) -> ApiResult<Answer> {
    let (state, caller, after) = (&state, &caller, query.after.unwrap_or(0));
    let work = |reserved: Reserved| async move {
        let client = state.db.client().await?;
        check_task(&client, caller, task).await?;
        let rows = annotations::of_tasks(&client, &[task], after, MOST_LISTED + 1).await?;
        listed(state, client, rows, |last| format!("/api/tasks/{task}/annotations?after={last}"), reserved).await
    };
    state.memory.work(&caller.name, work).await
}

/// Refuses a task that does not exist or that the caller cannot access.
async fn check_task(client: &Client, caller: &Caller, task: i64) -> ApiResult<()> {
    caller.visible(tasks::get(client, task).await?, |row| row.project_id, format!("task {task}")).map(drop)
}

/// Adds an annotation to a task.
#[utoipa::path(
    post, path = "/api/tasks/{id}/annotations", operation_id = "annotations_create", tag = "annotations",
    params(("id" = i64, Path)), request_body = AnnotationFields,
    responses((status = 201, body = AnnotationBody<'_>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Path(task): Path<i64>,
    Json(fields): Json<AnnotationFields>,
) -> ApiResult<(StatusCode, Answer)> {
    let (fields, result_bytes) = fields.checked(&state.offload).await?;
    let result_bytes = result_bytes.ok_or_else(|| ApiError::invalid("result", "This field is required."))?;
    // Before anything is written: the answer to a created annotation must not fail for lack of memory.
    let reserved = state.memory.reserve(&caller.name, memory_of(result_bytes, 1)).await?;
    let mut client = state.db.client().await?;
    check_task(&client, &caller, task).await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let written = AnnotationValues {
        result: fields.result(),
        was_cancelled: fields.was_cancelled.unwrap_or_default(),
        ground_truth: fields.ground_truth.unwrap_or_default(),
        lead_time: fields.lead_time.flatten(),
        completed_by: fields.completed_by.flatten(),
    };
    let row = annotations::insert(&tx, task, &written).await.map_err(write_error)?;
    record(&tx, &caller, "annotation.create", &row).await?;
    tx.commit().await.map_err(Error::from)?;
    // Free the memory before the answer is read.
    drop(fields);
    Ok((StatusCode::CREATED, answer(&state, client, row, reserved).await?))
}

/// Shows an annotation.
#[utoipa::path(
    get, path = "/api/annotations/{id}", operation_id = "annotations_get", tag = "annotations",
    params(("id" = i64, Path)), responses((status = 200, body = AnnotationBody<'_>), (status = 404, body = ErrorBody))
)]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Answer> {
    let (state, caller) = (&state, &caller);
    let work = |reserved: Reserved| async move {
        let client = state.db.client().await?;
        let row = caller.visible(annotations::get(&client, id).await?, |row| row.project_id, named(id))?;
        answer(state, client, row, reserved).await
    };
    state.memory.work(&caller.name, work).await
}

/// Changes an annotation.
#[utoipa::path(
    patch, path = "/api/annotations/{id}", operation_id = "annotations_update", tag = "annotations",
    params(("id" = i64, Path)), request_body = AnnotationFields,
    responses((status = 200, body = AnnotationBody<'_>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(fields): Json<AnnotationFields>,
) -> ApiResult<Answer> {
    let (fields, result_bytes) = fields.checked(&state.offload).await?;
    let result_bytes = match result_bytes {
        Some(bytes) => bytes,
        None => {
            let client = state.db.client().await?;
            stored_bytes(&client, annotations::get(&client, id).await?).await?
        }
    };
    // Before anything is written: the answer to a changed annotation must not fail for lack of memory.
    let reserved = state.memory.reserve(&caller.name, memory_of(result_bytes, 1)).await?;
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let stored = lock(&tx, &caller, id).await?;
    let written = AnnotationValues {
        result: fields.result(),
        was_cancelled: fields.was_cancelled.unwrap_or(stored.was_cancelled),
        ground_truth: fields.ground_truth.unwrap_or(stored.ground_truth),
        lead_time: fields.lead_time.unwrap_or(stored.lead_time),
        completed_by: fields.completed_by.unwrap_or(stored.completed_by),
    };
    let row = annotations::update(&tx, id, &written).await.map_err(write_error)?;
    record(&tx, &caller, "annotation.update", &row).await?;
    tx.commit().await.map_err(Error::from)?;
    drop(fields);
    Ok(answer(&state, client, row, reserved).await?)
}

/// Deletes an annotation, and its exported objects where the storage has `can_delete_objects`. Exports nothing else.
#[utoipa::path(
    delete, path = "/api/annotations/{id}", operation_id = "annotations_delete", tag = "annotations",
    params(("id" = i64, Path)), responses((status = 204), (status = 404, body = ErrorBody))
)]
async fn delete(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<StatusCode> {
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let row = lock(&tx, &caller, id).await?;
    annotations::delete(&tx, id).await?;
    record(&tx, &caller, "annotation.delete", &row).await?;
    // A disabled storage gets no job now. Its next sync finds the deletion.
    for storage in storages::deleting(&tx, row.project_id).await? {
        lifecycle::add_delete_job(&tx, storage, Some(row.task_id)).await?;
    }
    tx.commit().await.map_err(Error::from)?;
    state.db.wake_relay();
    Ok(StatusCode::NO_CONTENT)
}

/// Locks an annotation, if the caller can access its project.
async fn lock(tx: &Transaction<'_>, caller: &Caller, id: i64) -> ApiResult<AnnotationRow> {
    caller.visible(annotations::lock(tx, id).await?, |row| row.project_id, named(id))
}

fn named(id: i64) -> String {
    format!("annotation {id}")
}

async fn record(tx: &Transaction<'_>, caller: &Caller, action: &'static str, row: &AnnotationRow) -> ApiResult<()> {
    let entry = audit::Entry {
        project_id: Some(row.project_id),
        detail: serde_json::json!({"annotation": row.id, "task": row.task_id}),
        ..caller.did(action)
    };
    Ok(audit::write(tx, &entry).await?)
}
