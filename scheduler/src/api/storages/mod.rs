//! Storages: Label Studio's routes for every kind, import and export.
//!
//! A kind is a file that says which fields it has ([`kind::Kind`]); routes and actions are shared.

mod actions;
mod azure;
mod body;
mod connect;
mod doctor;
mod draft;
mod export;
mod fields;
mod gcs;
mod import;
mod kind;
mod list;
mod localfiles;
mod redis;
mod s3;
mod s3s;
mod secrets;
mod start;

use axum::extract::State;
use longshore_model::Direction;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::answer::Answer;
use super::auth::Caller;
use super::error::ApiResult;
use super::extract::{Json, UrlQuery};
use body::StorageBody;
use kind::KindBody;
use list::ProjectQuery;

pub use connect::OpenStorage;
pub(super) use connect::open_storage;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(import_kinds))
        .routes(routes!(export_kinds))
        .routes(routes!(import_storages))
        .routes(routes!(export_storages))
        .merge(import::routes())
        .merge(export::routes())
        .merge(doctor::routes())
}

/// Lists the kinds of import storages.
#[utoipa::path(get, path = "/api/storages/types", tag = "storages", responses((status = 200, body = [KindBody])))]
async fn import_kinds() -> Json<Vec<KindBody>> {
    Json(kind::all())
}

/// Lists the kinds of export storages.
#[utoipa::path(get, path = "/api/storages/export/types", tag = "storages", responses((status = 200, body = [KindBody])))]
async fn export_kinds() -> Json<Vec<KindBody>> {
    Json(kind::all())
}

/// Lists import storages of all kinds, of one project or of all.
#[utoipa::path(
    get, path = "/api/storages", tag = "storages", params(ProjectQuery),
    responses((status = 200, body = [StorageBody]))
)]
async fn import_storages(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(query): UrlQuery<ProjectQuery>,
) -> ApiResult<Answer> {
    list::list_all(&state, &caller, Direction::Import, query).await
}

/// Lists export storages of all kinds, of one project or of all.
#[utoipa::path(
    get, path = "/api/storages/export", tag = "storages", params(ProjectQuery),
    responses((status = 200, body = [StorageBody]))
)]
async fn export_storages(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(query): UrlQuery<ProjectQuery>,
) -> ApiResult<Answer> {
    list::list_all(&state, &caller, Direction::Export, query).await
}
