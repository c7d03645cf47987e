//! Projects of the native host.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use longshore_db::projects::{self, ProjectRow};
use longshore_db::{Error, audit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Caller;
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Json, Path, UrlQuery};
use super::page::{Page, PageQuery};

/// As long as a storage's title may be.
const MAX_TITLE: usize = 256;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get))
}

/// A project.
#[derive(Debug, Serialize, ToSchema)]
struct ProjectBody {
    id: i64,
    title: String,
    label_config: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<ProjectRow> for ProjectBody {
    fn from(row: ProjectRow) -> Self {
        Self {
            id: row.id,
            title: row.title,
            label_config: row.label_config,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A project to make.
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
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(page): UrlQuery<PageQuery>,
) -> ApiResult<Json<Page<ProjectBody>>> {
    let client = state.db.client().await?;
    let (rows, count) = projects::list(&client, caller.scope(), page.offset(), page.limit()).await?;
    if page.is_past(count) {
        return Err(ApiError::no_page());
    }
    Ok(Json(Page::new("/api/projects", page, count, rows.into_iter().map(ProjectBody::from).collect())))
}

/// Makes a project.
#[utoipa::path(
    post, path = "/api/projects", operation_id = "projects_create", tag = "projects", request_body = NewProject,
    responses((status = 201, body = ProjectBody), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody))
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(new): Json<NewProject>,
) -> ApiResult<(StatusCode, Json<ProjectBody>)> {
    if caller.scope().is_some() {
        return Err(ApiError::forbidden("A token that is limited to projects cannot make another one."));
    }
    let title = new.title.trim();
    if title.is_empty() {
        return Err(ApiError::invalid("title", "This field may not be blank."));
    }
    if title.chars().count() > MAX_TITLE {
        return Err(ApiError::invalid("title", format!("Ensure this field has no more than {MAX_TITLE} characters.")));
    }
    for (field, text) in [("title", Some(title)), ("label_config", new.label_config.as_deref())] {
        if text.is_some_and(|text| text.contains('\0')) {
            return Err(ApiError::invalid(field, "Null characters are not allowed."));
        }
    }
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let row = projects::insert(&tx, title, new.label_config.as_deref()).await?;
    audit::write(&tx, &audit::Entry { project_id: Some(row.id), ..caller.did("project.create") }).await?;
    tx.commit().await.map_err(Error::from)?;
    Ok((StatusCode::CREATED, Json(row.into())))
}

/// Shows a project.
#[utoipa::path(
    get, path = "/api/projects/{id}", operation_id = "projects_get", tag = "projects", params(("id" = i64, Path)),
    responses((status = 200, body = ProjectBody), (status = 404, body = ErrorBody))
)]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Json<ProjectBody>> {
    let row = projects::get(&state.db.client().await?, id).await?.filter(|row| caller.sees(row.id));
    Ok(Json(row.ok_or_else(|| ApiError::not_found(format!("project {id}")))?.into()))
}
