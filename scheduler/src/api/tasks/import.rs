//! Makes tasks of a file or a list that a script sends, as imports make them of an object.

use axum::extract::State;
use axum::http::StatusCode;
use longshore_db::host::insert_sent_tasks;
use longshore_db::{Error, audit, projects};
use longshore_items::preview::SentTasks;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::ApiState;
use crate::api::access::{Caller, HostOwned, Policy, Role, Routes};
use crate::api::error::{ApiError, ApiResult, ErrorBody};
use crate::api::extract::{Json, Path, TaskFile, UrlQuery};
use crate::api::offload::Stop;
use crate::api::query::TaskImport;

pub(super) fn routes() -> Routes {
    let write = Policy::from(Role::Sync).native_only(HostOwned::Tasks).with_large_body();
    Routes::default().route(write, routes!(import))
}

/// Memory of tasks per byte of their JSON, and of few tasks.
const BYTES_PER_BYTE: usize = 4;
const LEAST_BYTES: usize = 1024 * 1024;

/// Tasks per statement.
const CHUNK: usize = 1_000;

/// What became of a list of tasks, with Label Studio's fields.
#[derive(Debug, Serialize, ToSchema)]
struct ImportedTasks {
    task_count: usize,
    annotation_count: usize,
    prediction_count: usize,
    /// Seconds.
    duration: f64,
    /// Empty: Longshore keeps no uploads.
    file_upload_ids: Vec<i64>,
    could_be_tasks_list: bool,
    /// Empty: the format is JSON or JSON Lines.
    found_formats: Vec<String>,
    /// Empty: the columns of tables are not read.
    data_columns: Vec<String>,
    /// IDs of the new tasks, in the order of the list. Present if the request asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_ids: Option<Vec<i64>>,
}

/// Makes tasks of a list that is sent as JSON, or as a form with one file of JSON or JSON Lines. All of them, or none.
#[utoipa::path(
    post, path = "/api/projects/{id}/import", operation_id = "tasks_import", tag = "tasks",
    params(("id" = i64, Path), TaskImport), request_body = Vec<serde_json::Value>,
    responses(
        (status = 201, body = ImportedTasks), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 429, body = ErrorBody)
    )
)]
async fn import(
    State(state): State<ApiState>,
    caller: Caller,
    Path(project): Path<i64>,
    UrlQuery(query): UrlQuery<TaskImport>,
    TaskFile(bytes): TaskFile,
) -> ApiResult<(StatusCode, Json<ImportedTasks>)> {
    if query.commit_to_project == Some(false) {
        return Err(ApiError::invalid("commit_to_project", "Longshore keeps no uploads without tasks. Leave it out."));
    }
    if query.preannotated_from_fields.is_some_and(|fields| !fields.trim().is_empty()) {
        let detail = "Longshore makes no predictions of fields. Send `predictions` beside `data`.";
        return Err(ApiError::invalid("preannotated_from_fields", detail));
    }
    let begin = Instant::now();
    let size = projects::size(&state.db.client().await?, project).await?;
    let size = caller.visible(size, |_| project, format!("project {project}"))?;
    let memory = LEAST_BYTES + BYTES_PER_BYTE * bytes.len() + usize::try_from(size).unwrap_or(usize::MAX);
    let reserved = state.memory.reserve(&caller.name, memory).await?;
    let row = projects::get(&state.db.client().await?, project).await?;
    let config = row.and_then(|row| row.label_config);
    let read = move |_: &Stop| {
        SentTasks::read(bytes, config.as_deref(), memory)
            .map_err(|unusable| ApiError::invalid("tasks", unusable.text()))
    };
    let sent = state.offload.run(memory, read).await?;
    let new = sent.tasks();

    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let mut ids = Vec::with_capacity(new.len());
    for chunk in new.chunks(CHUNK) {
        ids.extend(insert_sent_tasks(&tx, project, chunk).await.map_err(insert_error)?);
    }
    let entry = audit::Entry {
        project_id: Some(project),
        detail: serde_json::json!({"tasks": ids.len()}),
        ..caller.did("tasks.import")
    };
    audit::write(&tx, &entry).await?;
    tx.commit().await.map_err(Error::from)?;
    drop(reserved);
    let body = ImportedTasks {
        task_count: ids.len(),
        annotation_count: new.iter().map(|task| task.annotations.len()).sum(),
        prediction_count: new.iter().map(|task| task.predictions.len()).sum(),
        duration: begin.elapsed().as_secs_f64(),
        file_upload_ids: Vec::new(),
        could_be_tasks_list: false,
        found_formats: Vec::new(),
        data_columns: Vec::new(),
        task_ids: query.return_task_ids.unwrap_or_default().then_some(ids),
    };
    Ok((StatusCode::CREATED, Json(body)))
}

/// The answer for JSON that the database cannot store, such as a number with too many digits.
fn insert_error(error: Error) -> ApiError {
    if error.is_data_exception() {
        ApiError::invalid("tasks", "The database cannot hold a value of these tasks.")
    } else {
        error.into()
    }
}
