//! Actions on the tasks of a project, as Label Studio's data manager has them. Scripts delete tasks so.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use longshore_db::syncs::NewDeletion;
use longshore_db::{projects, tasks};
use longshore_model::Deletion;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::ApiState;
use super::access::{Caller, HostOwned, Policy, Role, Routes, Work};
use super::deletions::{self, delete_now};
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Json, UrlQuery};
use super::query::ActionQuery;
use super::syncs::SyncBody;

pub(super) fn routes() -> Routes {
    let tasks = Policy::from(Role::Admin).native_only(HostOwned::Tasks).with_work(Work::WholeTables);
    Routes::default().route(tasks, routes!(act))
}

/// The most tasks that one request may name.
const MOST: usize = 10_000;

/// The tasks of an action.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct Selected {
    /// Whether all tasks of the project are selected.
    #[serde(default)]
    all: bool,
    /// Without `all`: IDs of the selected tasks, at most 10,000.
    #[serde(default)]
    included: Vec<i64>,
    /// Must be empty: Longshore deletes all tasks, or those in `included`.
    #[serde(default)]
    excluded: Vec<i64>,
}

/// An action on tasks.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct ActionRequest {
    #[serde(rename = "selectedItems", default)]
    selected_items: Option<Selected>,
    /// Must have no `items`: Longshore has no filters of tasks.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
}

/// What an action did.
#[derive(Debug, Serialize, ToSchema)]
struct ActionDone {
    /// How many tasks were deleted.
    processed_items: i64,
    detail: String,
    /// Whether a list of tasks that was read before is outdated.
    reload: bool,
}

/// Deletes tasks of a project with their annotations and predictions: `id=delete_tasks`.
///
/// Tasks that are named are deleted at once. All tasks are deleted as a sync.
#[utoipa::path(
    post, path = "/api/dm/actions", operation_id = "tasks_act", tag = "tasks", params(ActionQuery),
    request_body = ActionRequest,
    responses(
        (status = 200, body = ActionDone), (status = 202, body = SyncBody), (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)
    )
)]
async fn act(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(query): UrlQuery<ActionQuery>,
    Json(request): Json<ActionRequest>,
) -> ApiResult<Response> {
    if query.id.as_deref() != Some("delete_tasks") {
        return Err(ApiError::invalid("id", "Longshore has one action: `delete_tasks`."));
    }
    let project = query
        .project
        .ok_or_else(|| ApiError::unreadable("missing_project", "query parameter \"project\" is required"))?;
    let size = projects::size(&state.db.client().await?, project).await?;
    caller.visible(size, |_| project, format!("project {project}"))?;
    let selected = checked(request)?;
    let keep = query.keep.unwrap_or_default();
    if selected.all {
        let new =
            NewDeletion { project_id: project, storage_id: None, deletion: Deletion { keep, removes: None, tasks: 0 } };
        return deletions::start(&state, &caller, new, query.confirm.as_deref()).await;
    }
    let ids = tasks::among(&state.db.client().await?, project, &selected.included).await?;
    let counts = delete_now(&state, &caller, project, &ids, keep).await?;
    let processed_items = counts.deleted_tasks;
    let detail = format!("Deleted {processed_items} tasks");
    Ok((StatusCode::OK, Json(ActionDone { processed_items, detail, reload: true })).into_response())
}

/// The selection of a request that Longshore can make.
fn checked(request: ActionRequest) -> ApiResult<Selected> {
    let has_filters = |filters: &Value| filters["items"].as_array().is_some_and(|items| !items.is_empty());
    let selected = request.selected_items.unwrap_or_default();
    let refused = |message: &str| Err(ApiError::invalid("selectedItems", message.to_owned()));
    match () {
        () if request.filters.as_ref().is_some_and(has_filters) => {
            Err(ApiError::invalid("filters", "Longshore has no filters of tasks. Send the IDs of the tasks."))
        }
        () if !selected.excluded.is_empty() => {
            refused("Longshore excludes no tasks. Send the IDs of those to delete in `included`.")
        }
        () if !selected.all && selected.included.is_empty() => {
            refused("Select tasks: send their IDs in `included`, or `all`.")
        }
        () if selected.included.len() > MOST => refused("Send at most 10,000 IDs in one request."),
        () => Ok(selected),
    }
}
