//! Makes, changes and deletes tasks one by one.

use axum::extract::State;
use axum::http::StatusCode;
use longshore_db::{Error, Transaction, audit, projects, tasks};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::body::TaskBody;
use super::view::View;
use crate::api::ApiState;
use crate::api::access::{Caller, HostOwned, Policy, Role, Routes};
use crate::api::answer::{Answer, texts_memory};
use crate::api::deletions::delete_now;
use crate::api::error::{ApiError, ApiResult, ErrorBody};
use crate::api::extract::{Json, Path, UrlQuery};
use crate::api::json_field::{self, Shape};
use crate::api::memory::Reserved;
use crate::api::offload::Stop;
use crate::api::query::TaskDeletion;

pub(super) fn routes() -> Routes {
    let write = Policy::from(Role::Sync).native_only(HostOwned::Tasks);
    Routes::default()
        .route(write.with_large_body(), routes!(create))
        .route(write.with_large_body(), routes!(update))
        .route(write, routes!(delete))
}

/// A task to write. A PATCH does not change fields that it leaves out.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct TaskFields {
    /// ID of the project. A task cannot move to another one.
    #[serde(default)]
    project: Option<i64>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    data: Option<Box<RawValue>>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    meta: Option<Box<RawValue>>,
}

impl TaskFields {
    fn data(&self) -> Option<&str> {
        self.data.as_deref().map(RawValue::get)
    }

    fn meta(&self) -> Option<&str> {
        // Clients send null for a field that they do not set.
        self.meta.as_deref().map(RawValue::get).filter(|meta| *meta != "null")
    }

    /// Checks the JSON off the threads that serve requests, and returns the memory of the answer.
    async fn checked(self, state: &ApiState) -> ApiResult<(Self, usize)> {
        let bytes = self.data().map_or(0, str::len) + self.meta().map_or(0, str::len);
        let check = move |_: &Stop| {
            let mut printed = 0;
            for (field, text) in [("data", self.data()), ("meta", self.meta())] {
                printed += text.map_or(Ok(0), |text| json_field::printed_bytes(field, text, Shape::Object))?;
            }
            Ok((self, printed))
        };
        state.offload.run(bytes, check).await
    }
}

/// The answer for JSON that the database cannot store, such as a number with too many digits.
fn write_error(error: Error) -> ApiError {
    if error.is_data_exception() {
        ApiError::invalid("data", "The database cannot hold this value.")
    } else {
        error.into()
    }
}

/// Answers with a task.
async fn answer(state: &ApiState, id: i64, reserved: Reserved) -> ApiResult<Answer> {
    let client = state.db.client().await?;
    let row = tasks::get(&client, id).await?.ok_or_else(|| ApiError::not_found(format!("task {id}")))?;
    let view = View { project: row.project_id, links_for: None, is_full: true, of_list: None };
    Ok(view.answer(state, client, vec![row], reserved).await?)
}

async fn record(tx: &Transaction<'_>, caller: &Caller, action: &'static str, project: i64, id: i64) -> ApiResult<()> {
    let detail = serde_json::json!({"task": id});
    Ok(audit::write(tx, &audit::Entry { project_id: Some(project), detail, ..caller.did(action) }).await?)
}

/// Adds a task that no storage made.
#[utoipa::path(
    post, path = "/api/tasks", operation_id = "tasks_create", tag = "tasks", request_body = TaskFields,
    responses((status = 201, body = TaskBody<'_>), (status = 400, body = ErrorBody))
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(fields): Json<TaskFields>,
) -> ApiResult<(StatusCode, Answer)> {
    let project = fields.project.ok_or_else(|| ApiError::invalid("project", "This field is required."))?;
    if fields.data.is_none() {
        return Err(ApiError::invalid("data", "This field is required."));
    }
    let (fields, printed) = fields.checked(&state).await?;
    // Before anything is written: the answer must not fail for lack of memory.
    let reserved = state.memory.reserve(&caller.name, texts_memory(printed)).await?;
    let mut client = state.db.client().await?;
    let found = projects::size(&client, project).await?.map(drop);
    let no_project = || ApiError::invalid("project", format!("Invalid pk \"{project}\" - object does not exist."));
    match found {
        Some(()) if caller.sees(project) => {}
        Some(()) => return Err(no_project().hiding_a_row()),
        None => return Err(no_project()),
    }
    let tx = client.transaction().await.map_err(Error::from)?;
    let id = tasks::insert(&tx, project, fields.data().unwrap_or("{}"), fields.meta()).await.map_err(write_error)?;
    record(&tx, &caller, "task.create", project, id).await?;
    tx.commit().await.map_err(Error::from)?;
    drop((client, fields));
    Ok((StatusCode::CREATED, answer(&state, id, reserved).await?))
}

/// Changes the data of a task.
#[utoipa::path(
    patch, path = "/api/tasks/{id}", operation_id = "tasks_update", tag = "tasks", params(("id" = i64, Path)),
    request_body = TaskFields,
    responses((status = 200, body = TaskBody<'_>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(fields): Json<TaskFields>,
) -> ApiResult<Answer> {
    let named = || format!("task {id}");
    let stored = tasks::get(&state.db.client().await?, id).await?;
    let stored = caller.visible(stored, |row| row.project_id, named())?;
    if fields.project.is_some_and(|project| project != stored.project_id) {
        return Err(ApiError::invalid("project", "A task cannot move to another project."));
    }
    let (fields, printed) = fields.checked(&state).await?;
    let reserved = state.memory.reserve(&caller.name, texts_memory(printed)).await?;
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    if !tasks::update(&tx, id, fields.data(), fields.meta()).await.map_err(write_error)? {
        return Err(ApiError::not_found(named()));
    }
    record(&tx, &caller, "task.update", stored.project_id, id).await?;
    tx.commit().await.map_err(Error::from)?;
    drop((client, fields));
    answer(&state, id, reserved).await
}

/// Deletes a task with its annotations and predictions, and their exported objects where the storage has
/// `can_delete_objects`.
///
/// Once no task of an object is left, the next sync imports the object again, unless `keep=true`.
#[utoipa::path(
    delete, path = "/api/tasks/{id}", operation_id = "tasks_delete", tag = "tasks",
    params(("id" = i64, Path), TaskDeletion), responses((status = 204), (status = 404, body = ErrorBody))
)]
async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    UrlQuery(query): UrlQuery<TaskDeletion>,
) -> ApiResult<StatusCode> {
    let client = state.db.client().await?;
    let row = caller.visible(tasks::get(&client, id).await?, |row| row.project_id, format!("task {id}"))?;
    drop(client);
    let counts = delete_now(&state, &caller, row.project_id, &[id], query.keep.unwrap_or_default()).await?;
    if counts.deleted_tasks == 0 {
        return Err(ApiError::not_found(format!("task {id}")));
    }
    Ok(StatusCode::NO_CONTENT)
}
