//! Deletes tasks one by one.

use axum::extract::State;
use axum::http::StatusCode;
use longshore_db::{Error, audit, exports, lifecycle, storages, tasks};
use utoipa_axum::routes;

use crate::api::ApiState;
use crate::api::access::{Caller, HostOwned, Policy, Role, Routes};
use crate::api::error::{ApiError, ApiResult, ErrorBody};
use crate::api::extract::{Path, UrlQuery};
use crate::api::query::TaskDeletion;

pub(super) fn routes() -> Routes {
    let write = Policy::from(Role::Sync).native_only(HostOwned::Tasks);
    Routes::default().route(write, routes!(delete))
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
    let mut client = state.db.client().await?;
    let row = caller.visible(tasks::get(&client, id).await?, |row| row.project_id, format!("task {id}"))?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let keep = query.keep.unwrap_or_default();
    let counts = lifecycle::delete_tasks(&tx, &[id], keep).await?;
    if counts.deleted_tasks == 0 {
        return Err(ApiError::not_found(format!("task {id}")));
    }
    let entry = audit::Entry {
        project_id: Some(row.project_id),
        detail: serde_json::json!({"task": id, "keep": keep, "annotations": counts.deleted_annotations}),
        ..caller.did("task.delete")
    };
    audit::write(&tx, &entry).await?;
    // A disabled storage gets no job now. Its next sync finds the deletion.
    if counts.deleted_annotations > 0 {
        for storage in storages::deleting(&tx, row.project_id).await? {
            if exports::is_used(&tx, storage).await? {
                lifecycle::add_delete_job(&tx, storage, None).await?;
            }
        }
    }
    tx.commit().await.map_err(Error::from)?;
    state.db.wake_relay();
    Ok(StatusCode::NO_CONTENT)
}
