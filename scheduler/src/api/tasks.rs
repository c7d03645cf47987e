//! Tasks as Label Studio shows them, for clients that look at what a sync made.
//!
//! Rows are read without their JSON first; then as much of the JSON as an answer holds. So a page always has all its
//! tasks, and those past 16 MiB come without data and say so.

mod body;

use std::collections::HashMap;

use axum::extract::State;
use longshore_db::annotations::{self, AnnotationRow};
use longshore_db::printed::JsonTable;
use longshore_db::tasks::{self, From, PredictionRow, Summary, TaskRow};
use longshore_db::{Client, projects};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::annotations::AnnotationBody;
use super::answer::{Answer, MOST_BYTES};
use super::auth::Caller;
use super::bookmarks::Leaf;
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Path, UrlQuery};
use super::memory::UNCOUNTED;
use super::offload::Stop;
use super::page::PageQuery;
use super::query::{TaskQuery, TaskView};
use super::resolve::{Links, MOST_LINK_BYTES};
use super::texts::{Chosen, Room, Sizes, Texts};
use body::{PredictionBody, TaskBody};

pub(super) use body::{LeftOut, Shown, raw};

/// Annotations and predictions of one answer, each. They take about 300 bytes without their results, so this is 3 MiB.
const MOST_INNER: i64 = 10_000;

/// Bytes of a task, annotation or prediction without its JSON, as it is written. Measured: 700 and 250.
const ROW_BYTES: usize = 1024;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// One page of a project's tasks.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer, which is written task by task")]
struct TaskList<'a> {
    #[serde(flatten)]
    head: ListHead,
    tasks: Vec<TaskBody<'a>>,
    /// If tasks are left out because the answer is full: send it as `after` to go on with the first of them. Else
    /// absent.
    next_after: Option<i64>,
}

/// What a list says of its project.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
struct ListHead {
    total_annotations: i64,
    total_predictions: i64,
    /// Tasks of the project.
    total: i64,
    /// Whether the totals were counted; those of projects with more than 10,000 tasks are estimates.
    totals_are_exact: bool,
}

/// Lists a project's tasks in the order they were made.
///
/// Read page after page it takes the same time for each, however many there are; so it does with `after`. An answer
/// holds 16 MiB of JSON: tasks beyond that come without `data`, `meta` and results, and `left_out` says so.
#[utoipa::path(
    get, path = "/api/tasks", operation_id = "tasks_list", tag = "tasks", params(TaskQuery),
    responses((status = 200, body = TaskList<'_>), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(query): UrlQuery<TaskQuery>,
) -> ApiResult<Answer> {
    let project = query
        .project
        .ok_or_else(|| ApiError::unreadable("missing_project", "query parameter \"project\" is required"))?;
    let page = PageQuery::new(query.page, query.page_size);
    let client = state.db.client().await?;
    if !caller.sees(project) || projects::size(&client, project).await?.is_none() {
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
    let rows = tasks::page(&client, project, from, page.limit()).await?;
    if query.after.is_none() {
        match rows.last() {
            Some(last) => state.bookmarks.put(leaf, last.id),
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
        is_linked: query.resolve_uri.unwrap_or(true),
        is_full: query.fields.as_deref() == Some("all"),
        of_list: Some(head),
    };
    view.answer(&state, &caller, client, rows).await
}

/// Shows a task with its annotations and predictions.
///
/// Results beyond 16 MiB are left out; `/api/tasks/{id}/annotations` has them page by page.
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
    let client = state.db.client().await?;
    let row = tasks::get(&client, id).await?.filter(|row| caller.sees(row.project_id));
    let row = row.ok_or_else(|| ApiError::not_found(format!("task {id}")))?;
    let view =
        View { project: row.project_id, is_linked: query.resolve_uri.unwrap_or(true), is_full: true, of_list: None };
    view.answer(&state, &caller, client, vec![row]).await
}

/// How tasks of a project are shown.
#[derive(Clone, Copy)]
struct View {
    project: i64,
    /// Links in place of URIs.
    is_linked: bool,
    /// With annotations and predictions themselves.
    is_full: bool,
    /// What comes around a list; `None` shows the task alone.
    of_list: Option<ListHead>,
}

/// Everything that an answer shows but texts.
struct Rows {
    tasks: Vec<TaskRow>,
    summaries: HashMap<i64, Summary>,
    annotations: HashMap<i64, Vec<AnnotationRow>>,
    predictions: HashMap<i64, Vec<PredictionRow>>,
}

impl View {
    async fn answer(self, state: &ApiState, caller: &Caller, client: Client, tasks: Vec<TaskRow>) -> ApiResult<Answer> {
        let rows = self.rows(&client, tasks).await?;
        let stored: Vec<_> = rows.tasks.iter().map(|row| (row.id, row.stored_bytes)).collect();
        let mut chosen_tasks = Chosen::new(Sizes::of(&client, JsonTable::Tasks, stored).await?);
        let stored = rows.stored(&rows.annotations, |row| (row.id, row.stored_bytes));
        let mut chosen_annotations = Chosen::new(Sizes::of(&client, JsonTable::Annotations, stored).await?);
        let stored = rows.stored(&rows.predictions, |row| (row.id, row.stored_bytes));
        let mut chosen_predictions = Chosen::new(Sizes::of(&client, JsonTable::Predictions, stored).await?);

        let (mut room, mut task_bytes) = (Room::default(), 0);
        for task in &rows.tasks {
            let before = room.taken();
            room.choose(&mut chosen_tasks, task.id);
            task_bytes += room.taken() - before;
            if self.of_list.is_none() {
                // A large task does not keep its own annotations out.
                room = Room::default();
            }
            for row in rows.annotations.get(&task.id).into_iter().flatten() {
                room.choose(&mut chosen_annotations, row.id);
            }
            for row in rows.predictions.get(&task.id).into_iter().flatten() {
                room.choose(&mut chosen_predictions, row.id);
            }
        }
        let bytes = if self.of_list.is_some() { room.taken() } else { task_bytes + room.taken() };
        let inner = rows.annotations.values().map(Vec::len).sum::<usize>()
            + rows.predictions.values().map(Vec::len).sum::<usize>();
        let heads = ROW_BYTES * (rows.tasks.len() + inner);
        let links = if self.is_linked { MOST_LINK_BYTES.min(task_bytes.saturating_mul(8)) } else { 0 };
        // Rows as Postgres sent them, in a buffer that may be twice their size, and the answer. A single row comes in a
        // buffer that grows by copying: 185 MB were measured for one of 38 MB.
        let needed = if bytes > MOST_BYTES { 4 * bytes } else { 3 * bytes } + links;
        let (client, reserved) = if needed <= UNCOUNTED {
            (client, state.memory.reserve(&caller.name, needed).await?)
        } else {
            drop(client);
            let reserved = state.memory.reserve(&caller.name, needed + heads).await?;
            (state.db.client().await?, reserved)
        };
        let texts = chosen_tasks.texts(&client, JsonTable::Tasks).await?;
        let results = chosen_annotations.texts(&client, JsonTable::Annotations).await?;
        let predicted = chosen_predictions.texts(&client, JsonTable::Predictions).await?;
        let links = if self.is_linked { Some(Links::of(state, &client, self.project).await?) } else { None };
        drop(client);
        if self.of_list.is_none() && rows.tasks.iter().any(|task| texts.get(task.id).is_err()) {
            return Err(ApiError::task_too_large());
        }
        let first_left_out = rows.tasks.iter().position(|task| texts.get(task.id).err() == Some(LeftOut::AnswerFull));
        let next_after = first_left_out.and_then(|first| rows.tasks.get(first.checked_sub(1)?)).map(|task| task.id);
        let write = move |stop: &Stop| {
            // Task by task: the links of one are gone before the next.
            let mut json = Vec::with_capacity(bytes + heads);
            if let Some(head) = self.of_list {
                serde_json::to_writer(&mut json, &head).map_err(ApiError::internal)?;
                json.pop();
                json.extend_from_slice(b",\"tasks\":[");
            }
            let texts = AllTexts { tasks: texts, annotations: results, predictions: predicted };
            let (mut rows, mut links) = (rows, links);
            for (number, task) in std::mem::take(&mut rows.tasks).into_iter().enumerate() {
                if number > 0 {
                    json.push(b',');
                }
                let linked = match (&mut links, texts.tasks.get(task.id)) {
                    (Some(links), Ok(text)) => links.link(task.id, task.storage_key.as_deref(), text.first(), stop)?,
                    _ => None,
                };
                let body = rows.body(task, self.is_full, linked.as_deref(), &texts)?;
                serde_json::to_writer(&mut json, &body).map_err(ApiError::internal)?;
            }
            if self.of_list.is_some() {
                json.push(b']');
                let next = next_after.map(|id| format!(",\"next_after\":{id}")).unwrap_or_default();
                json.extend_from_slice(next.as_bytes());
                json.push(b'}');
            }
            Ok(Answer::new(json, reserved))
        };
        state.offload.run(bytes, write).await
    }

    async fn rows(self, client: &Client, tasks: Vec<TaskRow>) -> ApiResult<Rows> {
        let ids: Vec<i64> = tasks.iter().map(|row| row.id).collect();
        let summaries = tasks::summaries(client, &ids).await?;
        let (mut annotations, mut predictions) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        if self.is_full {
            for row in annotations::of_tasks(client, &ids, 0, MOST_INNER).await? {
                annotations.entry(row.task_id).or_default().push(row);
            }
            for row in tasks::predictions(client, &ids, MOST_INNER).await? {
                predictions.entry(row.task_id).or_default().push(row);
            }
        }
        let summaries = summaries.into_iter().map(|summary| (summary.task_id, summary)).collect();
        Ok(Rows { tasks, summaries, annotations, predictions })
    }
}

impl Rows {
    /// What is inside the tasks, in their order.
    fn stored<T>(&self, inner: &HashMap<i64, Vec<T>>, of: impl Fn(&T) -> (i64, i64)) -> Vec<(i64, i64)> {
        let mut stored = Vec::new();
        for task in &self.tasks {
            stored.extend(inner.get(&task.id).into_iter().flatten().map(&of));
        }
        stored
    }

    /// A task with what of its texts is there.
    fn body<'a>(
        &mut self,
        row: TaskRow,
        is_full: bool,
        linked: Option<&'a str>,
        texts: &'a AllTexts,
    ) -> ApiResult<TaskBody<'a>> {
        let id = row.id;
        let annotations = self.annotations.remove(&id).unwrap_or_default().into_iter();
        let annotations = annotations.map(|row| AnnotationBody::new(&row, texts.annotations.result(row.id)));
        let predictions = self.predictions.remove(&id).unwrap_or_default().into_iter();
        let predictions = predictions.map(|row| {
            let result = texts.predictions.result(row.id);
            PredictionBody::new(row, result)
        });
        let inner = if is_full {
            Some((annotations.collect::<ApiResult<_>>()?, predictions.collect::<ApiResult<_>>()?))
        } else {
            None
        };
        let data = linked.map_or_else(|| texts.tasks.result(id), Ok);
        TaskBody::new(row, self.summaries.remove(&id).unwrap_or_default(), (data, texts.tasks.meta(id)), inner)
    }
}

/// The texts of an answer.
struct AllTexts {
    tasks: Texts,
    annotations: Texts,
    predictions: Texts,
}
