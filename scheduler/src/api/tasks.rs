//! The task routes: tasks in the format of Label Studio, for clients that read what a sync has imported.
//!
//! First the rows are read without their JSON, then as much of the JSON as fits into an answer. So a page always lists
//! all of its tasks; those after the first 16 MiB have no data, and `left_out` gives the reason.

mod body;
mod import;
mod view;
mod write;

use axum::extract::State;
use longshore_db::tasks::{self, PageStart, TaskRow};
use longshore_db::{Client, projects};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::ApiState;
use super::access::{Caller, HostOwned, Policy, Role, Routes};
use super::answer::Answer;
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Path, UrlQuery};
use super::memory::Reserved;
use super::page::PageQuery;
use super::page_cursors::PageKey;
use super::query::{TaskQuery, TaskView};
use body::TaskBody;
use view::View;

pub(super) fn routes() -> Routes {
    let read = Policy::from(Role::Read).native_only(HostOwned::Tasks);
    Routes::default()
        .route(read, routes!(list))
        .route(read, routes!(get))
        .merge(write::routes())
        .merge(import::routes())
}

/// One page of a project's tasks.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer, which is written task by task")]
struct TaskList<'a> {
    #[serde(flatten)]
    head: ListHead,
    tasks: Vec<TaskBody<'a>>,
    /// Present if the answer is full and some tasks have no data. Send it as `after` to continue with the first of
    /// them.
    next_after: Option<i64>,
}

/// The totals of the project, at the start of a list.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
struct ListHead {
    total_annotations: i64,
    total_predictions: i64,
    /// Tasks in the project.
    total: i64,
    /// Whether the totals are exact. In projects with more than 10,000 tasks they are estimates.
    totals_are_exact: bool,
}

/// Lists a project's tasks, oldest first.
///
/// Pages that are read in order, or with `after`, take the same time however many tasks there are. An answer holds
/// 16 MiB of JSON. Tasks after that have no `data`, `meta` and results, and `left_out` gives the reason.
#[utoipa::path(
    get, path = "/api/tasks", operation_id = "tasks_list", tag = "tasks", params(TaskQuery),
    responses((status = 200, body = TaskList<'_>), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(query): UrlQuery<TaskQuery>,
) -> ApiResult<Answer> {
    let (state, caller, query) = (&state, &caller, &query);
    let work = |reserved: Reserved| async move {
        let client = state.db.client().await?;
        let (view, rows) = page(state, caller, &client, query).await?;
        view.answer(state, client, rows, reserved).await
    };
    state.memory.work(&caller.name, work).await
}

/// Reads the rows of a page, and returns how to show them.
async fn page(
    state: &ApiState,
    caller: &Caller,
    client: &Client,
    query: &TaskQuery,
) -> ApiResult<(View, Vec<TaskRow>)> {
    let project = query
        .project
        .ok_or_else(|| ApiError::unreadable("missing_project", "query parameter \"project\" is required"))?;
    let page = PageQuery::new(query.page, query.page_size);
    caller.visible(projects::size(client, project).await?, |_| project, format!("project {project}"))?;
    let mut totals = tasks::totals(client, project).await?;
    if query.after.is_none() && page.is_past(if totals.exact { totals.tasks } else { i64::MAX }) {
        return Err(ApiError::no_page());
    }
    let key = PageKey { project, size: page.limit(), number: query.page.unwrap_or(1) };
    let from = match query.after.or_else(|| state.page_cursors.before(key)) {
        Some(id) => PageStart::After(id),
        None => PageStart::Offset(page.offset()),
    };
    let rows = tasks::page(client, project, from, page.limit()).await?;
    if query.after.is_none() {
        match rows.last() {
            Some(last) => state.page_cursors.put(key, last.id),
            None if page.offset() > 0 => return Err(ApiError::no_page()),
            None => {}
        }
        totals.tasks = totals.tasks.max(page.offset() + rows.len() as i64);
    }
    let head = ListHead {
        total_annotations: totals.annotations,
        total_predictions: totals.predictions,
        total: totals.tasks,
        totals_are_exact: totals.exact,
    };
    let view = View {
        project,
        links_for: query.resolve_uri.unwrap_or(true).then_some(caller.id),
        is_full: query.fields.as_deref() == Some("all"),
        of_list: Some(head),
    };
    Ok((view, rows))
}

/// Shows a task with its annotations and predictions.
///
/// Results after the first 16 MiB are left out. If the task itself is larger than 16 MiB, all results are left out.
/// Read them page by page from `/api/tasks/{id}/annotations`.
#[utoipa::path(
    get, path = "/api/tasks/{id}", operation_id = "tasks_get", tag = "tasks", params(("id" = i64, Path), TaskView),
    responses(
        (status = 200, body = TaskBody<'_>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 429, body = ErrorBody)
    )
)]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    UrlQuery(query): UrlQuery<TaskView>,
) -> ApiResult<Answer> {
    let (state, caller) = (&state, &caller);
    let links_for = query.resolve_uri.unwrap_or(true).then_some(caller.id);
    let work = |reserved: Reserved| async move {
        let client = state.db.client().await?;
        let row = caller.visible(tasks::get(&client, id).await?, |row| row.project_id, format!("task {id}"))?;
        let view = View { project: row.project_id, links_for, is_full: true, of_list: None };
        view.answer(state, client, vec![row], reserved).await
    };
    state.memory.work(&caller.name, work).await
}
