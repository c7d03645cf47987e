//! The project routes, for the native host.

mod change;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use longshore_db::projects::{self, ProjectRow};
use longshore_db::{Bounded, Error, audit};
use longshore_model::MAX_LABEL_CONFIG;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::ApiState;
use super::access::{Caller, HostOwned, Policy, Role, Routes};
use super::answer::{Answer, BYTES_PER_ROW_BYTE};
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Json, Path, UrlQuery};
use super::memory::Reserved;
use super::page::{Page, PageQuery};
use super::texts::Omission;

/// Characters; the same limit as for the title of a storage.
const MAX_TITLE: usize = 256;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route(Policy::from(Role::Read).native_only(HostOwned::Projects), routes!(list))
        .route(Policy::from(Role::Admin).native_only(HostOwned::Projects).with_large_body(), routes!(create))
        .route(Policy::from(Role::Read).native_only(HostOwned::Projects), routes!(get))
        .merge(change::routes())
}

/// A project.
#[derive(Debug, Serialize, ToSchema)]
struct ProjectBody {
    id: i64,
    title: String,
    /// Empty if it is left out, see `left_out`.
    label_config: String,
    /// What trust policies of IAM roles require for this project's storages of kind `s3s` (`sts:ExternalId`). Longshore
    /// makes it and always sends it.
    external_id: String,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    updated_at: Timestamp,
    /// In lists: `answer_full` if `label_config` is left out because the answer is full. Otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<Omission>,
}

impl From<ProjectRow> for ProjectBody {
    fn from(row: ProjectRow) -> Self {
        Self {
            id: row.id,
            title: row.title,
            left_out: row.label_config.is_none().then_some(Omission::AnswerFull),
            label_config: row.label_config.unwrap_or_default(),
            external_id: row.external_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A project to create.
#[derive(Debug, Deserialize, ToSchema)]
struct NewProject {
    title: String,
    /// Label Studio's XML; its first object tag names the data key of tasks made of whole objects.
    #[serde(default)]
    label_config: Option<String>,
}

/// Lists projects, newest first.
#[utoipa::path(
    get, path = "/api/projects", operation_id = "projects_list", tag = "projects", params(PageQuery),
    responses((status = 200, body = Page<ProjectBody>), (status = 404, body = ErrorBody))
)]
async fn list(State(state): State<ApiState>, caller: Caller, UrlQuery(page): UrlQuery<PageQuery>) -> ApiResult<Answer> {
    let count = projects::count(&state.db.client().await?, caller.scope()).await?;
    if page.is_past(count) {
        return Err(ApiError::no_page());
    }
    let (state, caller) = (&state, &caller);
    let read = |most| async move {
        let client = state.db.client().await?;
        let rows = projects::list(&client, caller.scope(), page.offset(), page.limit(), most).await?;
        let is_cut = rows.iter().any(|row| row.label_config.is_none());
        Ok(Bounded { rows, is_cut })
    };
    let show = |rows: Bounded<ProjectRow>| {
        let bodies: Vec<ProjectBody> = rows.rows.into_iter().map(ProjectBody::from).collect();
        (Page::new("/api/projects", page, count, bodies), None)
    };
    Answer::list(state, caller, read, show).await
}

/// Checks the fields of a project that are sent.
fn check(title: Option<&str>, label_config: Option<&str>) -> ApiResult<()> {
    if title.is_some_and(str::is_empty) {
        return Err(ApiError::invalid("title", "This field may not be blank."));
    }
    if title.is_some_and(|title| title.chars().count() > MAX_TITLE) {
        return Err(ApiError::invalid("title", format!("Ensure this field has no more than {MAX_TITLE} characters.")));
    }
    for (field, text) in [("title", title), ("label_config", label_config)] {
        if text.is_some_and(|text| text.contains('\0')) {
            return Err(ApiError::invalid(field, "Null characters are not allowed."));
        }
    }
    if label_config.is_some_and(|config| config.len() > MAX_LABEL_CONFIG) {
        let detail = format!("Ensure this field has no more than {MAX_LABEL_CONFIG} bytes.");
        return Err(ApiError::invalid("label_config", detail));
    }
    Ok(())
}

/// Creates a project.
#[utoipa::path(
    post, path = "/api/projects", operation_id = "projects_create", tag = "projects", request_body = NewProject,
    responses((status = 201, body = ProjectBody), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody))
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(new): Json<NewProject>,
) -> ApiResult<(StatusCode, Answer)> {
    caller.check_all_projects("create a project")?;
    let title = new.title.trim();
    check(Some(title), new.label_config.as_deref())?;
    // Before anything is written: the answer to a created project must not fail for lack of memory. It holds the config
    // as text, as Postgres sends it back, and as JSON.
    let config_bytes = new.label_config.as_ref().map_or(0, String::len);
    let reserved = state.memory.reserve(&caller.name, BYTES_PER_ROW_BYTE * config_bytes).await?;
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let row = projects::insert(&tx, title, new.label_config.as_deref()).await?;
    audit::write(&tx, &audit::Entry { project_id: Some(row.id), ..caller.did("project.create") }).await?;
    tx.commit().await.map_err(Error::from)?;
    drop(client);
    Ok((StatusCode::CREATED, answer(&state, row, reserved).await?))
}

/// Shows a project.
#[utoipa::path(
    get, path = "/api/projects/{id}", operation_id = "projects_get", tag = "projects", params(("id" = i64, Path)),
    responses((status = 200, body = ProjectBody), (status = 404, body = ErrorBody))
)]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Answer> {
    let size = projects::size(&state.db.client().await?, id).await?;
    let size = caller.visible(size, |_| id, format!("project {id}"))?;
    // Label configs of older releases have up to 16 MiB. Each is in memory as Postgres sent it, as text, and in the
    // answer.
    let reserved = state.memory.reserve(&caller.name, 3 * usize::try_from(size).unwrap_or_default()).await?;
    let row = projects::get(&state.db.client().await?, id).await?;
    answer(&state, row.ok_or_else(|| ApiError::not_found(format!("project {id}")))?, reserved).await
}

/// Answers with a project.
async fn answer(state: &ApiState, row: ProjectRow, reserved: Reserved) -> ApiResult<Answer> {
    let bytes = row.label_config.as_ref().map_or(0, String::len);
    state.offload.run(bytes, move |_| Answer::write(&ProjectBody::from(row), bytes, reserved)).await
}
