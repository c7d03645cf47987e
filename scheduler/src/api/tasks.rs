//! Tasks as Label Studio shows them, for clients that look at what a sync made.

use std::collections::BTreeSet;

use axum::extract::State;
use chrono::{DateTime, Utc};
use longshore_db::annotations::{self, AnnotationRow};
use longshore_db::tasks::{self, From, PredictionRow, TaskRow};
use longshore_db::{Client, projects};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::annotations::AnnotationBody;
use super::auth::Caller;
use super::bookmarks::Leaf;
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Json, Path, UrlQuery};
use super::page::PageQuery;
use super::query::{TaskQuery, TaskView};
use super::resolve::link_data;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// One page of a project's tasks.
#[derive(Debug, Serialize, ToSchema)]
struct TaskList {
    total_annotations: i64,
    total_predictions: i64,
    /// Tasks of the project.
    total: i64,
    /// Whether the totals were counted; those of projects with more than 10,000 tasks are estimates.
    totals_are_exact: bool,
    tasks: Vec<TaskBody>,
}

/// A task. Keys and their order are Label Studio's; what Longshore does not keep is empty.
#[derive(Debug, Serialize, ToSchema)]
struct TaskBody {
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    predictions: Option<Vec<PredictionBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Vec<AnnotationBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    drafts: Option<[(); 0]>,
    /// Users who annotated it.
    annotators: Vec<i64>,
    inner_id: Option<i64>,
    cancelled_annotations: i32,
    total_annotations: i32,
    total_predictions: i32,
    completed_at: Option<DateTime<Utc>>,
    annotations_results: &'static str,
    predictions_results: &'static str,
    predictions_score: Option<f64>,
    file_upload: Option<String>,
    /// The key of the object it came from.
    storage_filename: Option<String>,
    /// Comma-separated.
    annotations_ids: String,
    /// Comma-separated.
    predictions_model_versions: String,
    avg_lead_time: Option<f64>,
    draft_exists: bool,
    #[schema(value_type = Vec<Object>)]
    updated_by: [(); 0],
    #[schema(value_type = Object)]
    data: Box<RawValue>,
    #[schema(value_type = Object)]
    meta: Box<RawValue>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    is_labeled: bool,
    overlap: i32,
    comment_count: i32,
    unresolved_comment_count: i32,
    last_comment_updated_at: Option<DateTime<Utc>>,
    project: i64,
    #[schema(value_type = Vec<Object>)]
    comment_authors: [(); 0],
}

/// A prediction of a task.
#[derive(Debug, Serialize, ToSchema)]
struct PredictionBody {
    id: i64,
    task: i64,
    project: i64,
    #[schema(value_type = Vec<Object>)]
    result: Box<RawValue>,
    score: Option<f64>,
    model_version: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Lists a project's tasks in the order they were made.
///
/// Read page after page it takes the same time for each, however many there are; so it does with `after`.
#[utoipa::path(
    get, path = "/api/tasks", operation_id = "tasks_list", tag = "tasks", params(TaskQuery),
    responses((status = 200, body = TaskList), (status = 404, body = ErrorBody))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(query): UrlQuery<TaskQuery>,
) -> ApiResult<Json<TaskList>> {
    let project = query
        .project
        .ok_or_else(|| ApiError::unreadable("missing_project", "query parameter \"project\" is required"))?;
    let page = PageQuery::new(query.page, query.page_size);
    let client = state.db.client().await?;
    if !caller.sees(project) || projects::get(&client, project).await?.is_none() {
        return Err(ApiError::not_found(format!("project {project}")));
    }
    let mut totals = tasks::totals(&client, project).await?;
    if query.after.is_none() && page.is_past(if totals.exact { totals.tasks } else { i64::MAX }) {
        return Err(ApiError::no_page());
    }
    let leaf = Leaf { project, size: page.limit(), number: query.page.unwrap_or(1) };
    let from = match query.after.or_else(|| state.bookmarks.before(leaf)) {
        Some(id) => From::After(id),
        None => From::Offset(page.offset()),
    };
    let mut rows = tasks::page(&client, project, from, page.limit()).await?;
    if query.after.is_none() {
        match rows.last() {
            Some(last) => state.bookmarks.put(leaf, last.id),
            None if page.offset() > 0 => return Err(ApiError::no_page()),
            None => {}
        }
        totals.tasks = totals.tasks.max(page.offset() + rows.len() as i64);
    }
    if query.resolve_uri.unwrap_or(true) {
        link_data(&state, &client, project, &mut rows).await?;
    }
    Ok(Json(TaskList {
        total_annotations: totals.annotations,
        total_predictions: totals.predictions,
        total: totals.tasks,
        totals_are_exact: totals.exact,
        tasks: show(&client, rows, query.fields.as_deref() == Some("all")).await?,
    }))
}

/// Shows a task with its annotations and predictions.
#[utoipa::path(
    get, path = "/api/tasks/{id}", operation_id = "tasks_get", tag = "tasks", params(("id" = i64, Path), TaskView),
    responses((status = 200, body = TaskBody), (status = 404, body = ErrorBody))
)]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    UrlQuery(view): UrlQuery<TaskView>,
) -> ApiResult<Json<TaskBody>> {
    let client = state.db.client().await?;
    let row = tasks::get(&client, id).await?.filter(|row| caller.sees(row.project_id));
    let mut row = row.ok_or_else(|| ApiError::not_found(format!("task {id}")))?;
    if view.resolve_uri.unwrap_or(true) {
        link_data(&state, &client, row.project_id, std::slice::from_mut(&mut row)).await?;
    }
    let task = show(&client, vec![row], true).await?.pop();
    Ok(Json(task.ok_or_else(|| ApiError::internal("a task got lost between two lines"))?))
}

/// Shows tasks, `full` with the annotations and predictions themselves.
async fn show(client: &Client, rows: Vec<TaskRow>, full: bool) -> ApiResult<Vec<TaskBody>> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let mut annotations = annotations::of_tasks(client, &ids).await?;
    let mut predictions = tasks::predictions(client, &ids).await?;
    rows.into_iter()
        .map(|row| {
            let id = row.id;
            let annotations = annotations.extract_if(.., |annotation| annotation.task_id == id).collect();
            let predictions = predictions.extract_if(.., |prediction| prediction.task_id == id).collect();
            TaskBody::new(row, annotations, predictions, full)
        })
        .collect()
}

impl TaskBody {
    fn new(
        row: TaskRow,
        annotations: Vec<AnnotationRow>,
        predictions: Vec<PredictionRow>,
        full: bool,
    ) -> ApiResult<Self> {
        let lead_times: Vec<f64> = annotations.iter().filter_map(|annotation| annotation.lead_time).collect();
        let scores: Vec<f64> = predictions.iter().filter_map(|prediction| prediction.score).collect();
        let versions: BTreeSet<&str> =
            predictions.iter().map(|p| p.model_version.as_str()).filter(|version| !version.is_empty()).collect();
        let done = annotations.iter().filter(|annotation| !annotation.was_cancelled);
        let is_labeled = row.total_annotations > 0;
        Ok(Self {
            id: row.id,
            annotators: annotations
                .iter()
                .filter_map(|a| a.completed_by)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            inner_id: None,
            cancelled_annotations: row.cancelled_annotations,
            total_annotations: row.total_annotations,
            total_predictions: row.total_predictions,
            completed_at: done.map(|annotation| annotation.created_at).max(),
            annotations_results: "",
            predictions_results: "",
            predictions_score: mean(&scores),
            file_upload: None,
            storage_filename: row.storage_key,
            annotations_ids: annotations.iter().map(|a| a.id.to_string()).collect::<Vec<_>>().join(","),
            predictions_model_versions: versions.into_iter().collect::<Vec<_>>().join(","),
            avg_lead_time: mean(&lead_times),
            draft_exists: false,
            updated_by: [],
            data: RawValue::from_string(row.data).map_err(ApiError::internal)?,
            meta: RawValue::from_string(row.meta).map_err(ApiError::internal)?,
            created_at: row.created_at,
            updated_at: row.updated_at,
            is_labeled,
            overlap: 1,
            comment_count: 0,
            unresolved_comment_count: 0,
            last_comment_updated_at: None,
            project: row.project_id,
            comment_authors: [],
            predictions: full
                .then(|| predictions.into_iter().map(PredictionBody::new).collect::<ApiResult<_>>())
                .transpose()?,
            annotations: full
                .then(|| annotations.into_iter().map(AnnotationBody::new).collect::<ApiResult<_>>())
                .transpose()?,
            drafts: full.then_some([]),
        })
    }
}

impl PredictionBody {
    fn new(row: PredictionRow) -> ApiResult<Self> {
        Ok(Self {
            id: row.id,
            task: row.task_id,
            project: row.project_id,
            result: RawValue::from_string(row.result).map_err(ApiError::internal)?,
            score: row.score,
            model_version: row.model_version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn mean(numbers: &[f64]) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a task has far fewer than 2^52 annotations")]
    let count = numbers.len() as f64;
    (count > 0.0).then(|| numbers.iter().sum::<f64>() / count)
}
