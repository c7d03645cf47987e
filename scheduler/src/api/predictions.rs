//! The prediction routes: predictions that scripts add to tasks. Imports make them, too.

mod answer;

use axum::extract::State;
use axum::http::StatusCode;
use longshore_db::predictions::{self, PredictionRow, PredictionValues};
use longshore_db::{Error, Transaction, audit, tasks};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::ApiState;
use super::access::{Caller, HostOwned, Policy, Role, Routes};
use super::answer::Answer;
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Json, Path, UrlQuery};
use super::json_field::nullable;
use super::memory::Reserved;
use super::offload::Stop;
use super::query::PredictionQuery;
use super::results::{self, MOST_LISTED, answer, listed, memory_of, stored_bytes, write_error};

pub(super) use answer::PredictionBody;

pub(super) fn routes() -> Routes {
    let read = Policy::from(Role::Read).native_only(HostOwned::Tasks);
    let write = Policy::from(Role::Sync).native_only(HostOwned::Tasks).with_large_body();
    Routes::default()
        .route(read, routes!(list))
        .route(write, routes!(create))
        .route(read, routes!(get))
        .route(write, routes!(update, delete))
}

/// Bytes. Versions are names such as `yolo-v8-2024-03`.
const MAX_VERSION: usize = 1_024;

/// A prediction to write. A PATCH does not change fields that it leaves out.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct PredictionFields {
    /// ID of the task. A prediction cannot move to another one.
    #[serde(default)]
    task: Option<i64>,
    /// A list of regions.
    #[serde(default)]
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    result: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "nullable")]
    score: Option<Option<f64>>,
    #[serde(default)]
    model_version: Option<String>,
}

impl PredictionFields {
    fn result(&self) -> Option<&str> {
        self.result.as_deref().map(RawValue::get)
    }

    /// Checks the fields off the threads that serve requests, and returns the printed size of the regions in bytes; `None` if
    /// they are not sent.
    async fn checked(self, state: &ApiState) -> ApiResult<(Self, Option<usize>)> {
        let version = self.model_version.as_deref().unwrap_or_default();
        if version.len() > MAX_VERSION || version.contains('\0') {
            let detail = format!("Use at most {MAX_VERSION} bytes without null characters.");
            return Err(ApiError::invalid("model_version", detail));
        }
        let bytes = self.result().map_or(0, str::len);
        let check = move |_: &Stop| {
            let printed = results::printed_bytes(self.result.as_deref())?;
            Ok((self, printed))
        };
        state.offload.run(bytes, check).await
    }
}

/// Lists a task's predictions by ID, at most 1,000 or 16 MiB. Header `Link` has the URL of the next ones.
#[utoipa::path(
    get, path = "/api/predictions", operation_id = "predictions_list", tag = "predictions", params(PredictionQuery),
    responses((status = 200, body = [PredictionBody<'_>]), (status = 404, body = ErrorBody))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(query): UrlQuery<PredictionQuery>,
) -> ApiResult<Answer> {
    let task =
        query.task.ok_or_else(|| ApiError::unreadable("missing_task", "query parameter \"task\" is required"))?;
    let (state, caller, after) = (&state, &caller, query.after.unwrap_or(0));
    let work = |reserved: Reserved| async move {
        let client = state.db.client().await?;
        caller.visible(tasks::get(&client, task).await?, |row| row.project_id, format!("task {task}"))?;
        let rows = predictions::of_tasks(&client, &[task], after, MOST_LISTED + 1).await?;
        listed(state, client, rows, |last| format!("/api/predictions?task={task}&after={last}"), reserved).await
    };
    state.memory.work(&caller.name, work).await
}

/// Adds a prediction to a task.
#[utoipa::path(
    post, path = "/api/predictions", operation_id = "predictions_create", tag = "predictions",
    request_body = PredictionFields,
    responses((status = 201, body = PredictionBody<'_>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(fields): Json<PredictionFields>,
) -> ApiResult<(StatusCode, Answer)> {
    let task = fields.task.ok_or_else(|| ApiError::invalid("task", "This field is required."))?;
    let (fields, printed) = fields.checked(&state).await?;
    let printed = printed.ok_or_else(|| ApiError::invalid("result", "This field is required."))?;
    // Before anything is written: the answer must not fail for lack of memory.
    let reserved = state.memory.reserve(&caller.name, memory_of(printed, 1)).await?;
    let mut client = state.db.client().await?;
    caller.visible(tasks::get(&client, task).await?, |row| row.project_id, format!("task {task}"))?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let values = PredictionValues {
        result: fields.result(),
        score: fields.score.flatten(),
        model_version: fields.model_version.as_deref().unwrap_or_default(),
    };
    let row = predictions::insert(&tx, task, &values).await.map_err(write_error)?;
    record(&tx, &caller, "prediction.create", &row).await?;
    tx.commit().await.map_err(Error::from)?;
    drop(fields);
    Ok((StatusCode::CREATED, answer(&state, client, row, reserved).await?))
}

/// Shows a prediction.
#[utoipa::path(
    get, path = "/api/predictions/{id}", operation_id = "predictions_get", tag = "predictions",
    params(("id" = i64, Path)), responses((status = 200, body = PredictionBody<'_>), (status = 404, body = ErrorBody))
)]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Answer> {
    let (state, caller) = (&state, &caller);
    let work = |reserved: Reserved| async move {
        let client = state.db.client().await?;
        let row = caller.visible(predictions::get(&client, id).await?, |row| row.project_id, named(id))?;
        answer(state, client, row, reserved).await
    };
    state.memory.work(&caller.name, work).await
}

/// Changes a prediction.
#[utoipa::path(
    patch, path = "/api/predictions/{id}", operation_id = "predictions_update", tag = "predictions",
    params(("id" = i64, Path)), request_body = PredictionFields,
    responses((status = 200, body = PredictionBody<'_>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(fields): Json<PredictionFields>,
) -> ApiResult<Answer> {
    let (fields, printed) = fields.checked(&state).await?;
    let printed = match printed {
        Some(bytes) => bytes,
        None => {
            let client = state.db.client().await?;
            stored_bytes(&client, predictions::get(&client, id).await?).await?
        }
    };
    // Before anything is written: the answer must not fail for lack of memory.
    let reserved = state.memory.reserve(&caller.name, memory_of(printed, 1)).await?;
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let stored = lock(&tx, &caller, id).await?;
    if fields.task.is_some_and(|task| task != stored.task_id) {
        return Err(ApiError::invalid("task", "A prediction cannot move to another task."));
    }
    let values = PredictionValues {
        result: fields.result(),
        score: fields.score.unwrap_or(stored.score),
        model_version: fields.model_version.as_deref().unwrap_or(&stored.model_version),
    };
    let row = predictions::update(&tx, id, &values).await.map_err(write_error)?;
    let row = row.ok_or_else(|| ApiError::not_found(named(id)))?;
    record(&tx, &caller, "prediction.update", &row).await?;
    tx.commit().await.map_err(Error::from)?;
    drop(fields);
    Ok(answer(&state, client, row, reserved).await?)
}

/// Deletes a prediction.
#[utoipa::path(
    delete, path = "/api/predictions/{id}", operation_id = "predictions_delete", tag = "predictions",
    params(("id" = i64, Path)), responses((status = 204), (status = 404, body = ErrorBody))
)]
async fn delete(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<StatusCode> {
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let row = lock(&tx, &caller, id).await?;
    if !predictions::delete(&tx, id, row.task_id).await? {
        return Err(ApiError::not_found(named(id)));
    }
    record(&tx, &caller, "prediction.delete", &row).await?;
    tx.commit().await.map_err(Error::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// A prediction, if the caller can access its project. Locks its task, as a deletion of the task does.
async fn lock(tx: &Transaction<'_>, caller: &Caller, id: i64) -> ApiResult<PredictionRow> {
    let row = caller.visible(predictions::get(tx, id).await?, |row| row.project_id, named(id))?;
    tasks::lock(tx, row.task_id).await?.ok_or_else(|| ApiError::not_found(named(id)))?;
    Ok(row)
}

fn named(id: i64) -> String {
    format!("prediction {id}")
}

async fn record(tx: &Transaction<'_>, caller: &Caller, action: &'static str, row: &PredictionRow) -> ApiResult<()> {
    let detail = serde_json::json!({"prediction": row.id, "task": row.task_id});
    Ok(audit::write(tx, &audit::Entry { project_id: Some(row.project_id), detail, ..caller.did(action) }).await?)
}
