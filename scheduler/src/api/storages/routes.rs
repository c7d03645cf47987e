//! The handlers of the storage routes, for both directions.
//!
//! A handler gets its direction from an extension of the router that it is mounted on. The document describes
//! imports; [`document::describe`] changes it for exports.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use longshore_db::host::HostKind;
use longshore_model::{Direction, Removed, StorageKind};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::body::StorageBody;
use super::collection::{Collection, is_offered};
use super::connect::Preview;
use super::doctor;
use super::document::{self, ImportStorage, ImportStorageChange, ImportStorageRequest};
use super::list::{ProjectQuery, SaveQuery, list_all};
use super::report::{Forecast, dry_run};
use super::start::StartSync;
use crate::api::ApiState;
use crate::api::access::{Access, Caller, HostOwned, Policy, Role, Routes, Work};
use crate::api::answer::Answer;
use crate::api::deletions::Confirmed;
use crate::api::error::{ApiResult, ErrorBody};
use crate::api::extract::{Json, Object, OptionalJson, Path, UrlQuery};
use crate::api::query::{DeletionQuery, StorageDeletion};
use crate::api::started::SYNC_ID;
use crate::api::syncs::SyncBody;

/// The routes of one direction.
pub(super) fn routes(direction: Direction) -> Routes {
    let owned = Policy::from(Role::Admin).native_only(HostOwned::Storages);
    let both = Routes::default()
        .route(Role::Read, routes!(all))
        .route(Role::Read, routes!(kinds))
        .route(Role::Read, routes!(list))
        .route(owned, routes!(create))
        .route(Role::Read, routes!(get))
        .route(owned, routes!(patch, put))
        .route(owned.with_work(Work::WholeTables), routes!(delete))
        .route(Role::Admin, routes!(validate))
        .route(Policy::from(Role::Sync).or_host_user(), routes!(sync))
        .route(Role::Admin, routes!(doctor::examine));
    let mut routes = match direction {
        // Label Studio has a preview of imports only.
        Direction::Import => both
            .route(Role::Admin, routes!(files))
            .route(owned.with_work(Work::WholeTables), routes!(delete_tasks))
            .route(Policy::from(Role::Sync).with_work(Work::Stream), routes!(dry_run::dry_run)),
        Direction::Export => both,
    };
    document::describe(direction, routes.document_mut());
    routes.with_extension(direction)
}

/// A kind: its name in paths, and its title for users.
#[derive(Debug, Serialize, ToSchema)]
struct KindBody {
    name: StorageKind,
    title: &'static str,
}

/// Lists the kinds of import storages that the host can have.
#[utoipa::path(
    get, path = "/types", operation_id = "import_kinds", tag = "storages",
    responses((status = 200, body = [KindBody]))
)]
async fn kinds(State(state): State<ApiState>) -> Json<Vec<KindBody>> {
    let kinds = StorageKind::ALL.iter().filter(|kind| is_offered(state.host, **kind));
    Json(kinds.map(|kind| KindBody { name: *kind, title: kind.data().title }).collect())
}

/// Lists import storages of all kinds, of one project or of all.
#[utoipa::path(
    get, path = "/", operation_id = "import_storages", tag = "storages", params(ProjectQuery),
    responses((status = 200, body = [ImportStorage]))
)]
async fn all(
    State(state): State<ApiState>,
    Extension(direction): Extension<Direction>,
    caller: Caller,
    UrlQuery(query): UrlQuery<ProjectQuery>,
) -> ApiResult<Answer> {
    list_all(&state, &caller, direction, query).await
}

/// Lists a project's import storages of one kind.
#[utoipa::path(
    get, path = "/{kind}", operation_id = "import_storages_list", tag = "import storages",
    params(("kind" = StorageKind, Path, example = "s3"), ProjectQuery),
    responses((status = 200, body = [ImportStorage]), (status = 404, body = ErrorBody))
)]
async fn list(
    State(state): State<ApiState>,
    Extension(direction): Extension<Direction>,
    caller: Caller,
    Path(kind): Path<String>,
    UrlQuery(query): UrlQuery<ProjectQuery>,
) -> ApiResult<Answer> {
    Collection::new(&state, &kind, direction)?.list(&state, &caller, query).await
}

/// Creates an import storage after probing its connection.
#[utoipa::path(
    post, path = "/{kind}", operation_id = "import_storages_create", tag = "import storages",
    params(("kind" = StorageKind, Path, example = "s3"), SaveQuery), request_body = ImportStorageRequest,
    responses((status = 201, body = ImportStorage), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody))
)]
async fn create(
    State(state): State<ApiState>,
    Extension(direction): Extension<Direction>,
    caller: Caller,
    Path(kind): Path<String>,
    UrlQuery(query): UrlQuery<SaveQuery>,
    Object(sent): Object,
) -> ApiResult<(StatusCode, Json<StorageBody>)> {
    let collection = Collection::new(&state, &kind, direction)?;
    Ok((StatusCode::CREATED, Json(collection.create(&state, &caller, sent, query).await?)))
}

/// Shows an import storage.
#[utoipa::path(
    get, path = "/{kind}/{id}", operation_id = "import_storages_get", tag = "import storages",
    params(("kind" = StorageKind, Path, example = "s3"), ("id" = i64, Path)),
    responses((status = 200, body = ImportStorage), (status = 404, body = ErrorBody))
)]
async fn get(
    State(state): State<ApiState>,
    Extension(direction): Extension<Direction>,
    caller: Caller,
    Path((kind, id)): Path<(String, i64)>,
) -> ApiResult<Json<StorageBody>> {
    Ok(Json(Collection::new(&state, &kind, direction)?.get(&state, &caller, id).await?))
}

/// Changes the fields that are sent. Secrets that are not sent stay; an empty secret is deleted.
#[utoipa::path(
    patch, path = "/{kind}/{id}", operation_id = "import_storages_update", tag = "import storages",
    params(("kind" = StorageKind, Path, example = "s3"), ("id" = i64, Path), SaveQuery),
    request_body = ImportStorageChange,
    responses((status = 200, body = ImportStorage), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn patch(
    State(state): State<ApiState>,
    Extension(direction): Extension<Direction>,
    caller: Caller,
    Path((kind, id)): Path<(String, i64)>,
    UrlQuery(query): UrlQuery<SaveQuery>,
    Object(sent): Object,
) -> ApiResult<Json<StorageBody>> {
    Ok(Json(Collection::new(&state, &kind, direction)?.write(&state, &caller, id, sent, false, query).await?))
}

/// Replaces all fields. Secrets that are not sent stay.
#[utoipa::path(
    put, path = "/{kind}/{id}", operation_id = "import_storages_replace", tag = "import storages",
    params(("kind" = StorageKind, Path, example = "s3"), ("id" = i64, Path), SaveQuery),
    request_body = ImportStorageRequest,
    responses((status = 200, body = ImportStorage), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn put(
    State(state): State<ApiState>,
    Extension(direction): Extension<Direction>,
    caller: Caller,
    Path((kind, id)): Path<(String, i64)>,
    UrlQuery(query): UrlQuery<SaveQuery>,
    Object(sent): Object,
) -> ApiResult<Json<StorageBody>> {
    Ok(Json(Collection::new(&state, &kind, direction)?.write(&state, &caller, id, sent, true, query).await?))
}

/// Deletes an import storage and its history. Its objects stay.
///
/// Its tasks stay too, unless `tasks=true`: then a sync deletes them, and after them the storage.
#[utoipa::path(
    delete, path = "/{kind}/{id}", operation_id = "import_storages_delete", tag = "import storages",
    params(("kind" = StorageKind, Path, example = "s3"), ("id" = i64, Path), StorageDeletion),
    responses(
        (status = 202, body = SyncBody), (status = 204), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)
    )
)]
async fn delete(
    State(state): State<ApiState>,
    Extension(direction): Extension<Direction>,
    caller: Caller,
    Path((kind, id)): Path<(String, i64)>,
    UrlQuery(query): UrlQuery<StorageDeletion>,
) -> ApiResult<Response> {
    let collection = Collection::new(&state, &kind, direction)?;
    if query.tasks == Some(true) {
        let confirmed = Confirmed { keep: false, confirm: query.confirm.as_deref() };
        return collection.delete_tasks(&state, &caller, id, Some(Removed::Storage), confirmed).await;
    }
    collection.delete(&state, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Deletes the tasks that an import storage made, with their annotations, as a sync.
///
/// The next sync of the storage imports the objects again, unless `keep=true`. No sync of the storage starts meanwhile.
#[utoipa::path(
    delete, path = "/{kind}/{id}/tasks", operation_id = "import_storages_delete_tasks", tag = "import storages",
    params(("kind" = StorageKind, Path, example = "s3"), ("id" = i64, Path), DeletionQuery),
    responses((status = 202, body = SyncBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody))
)]
async fn delete_tasks(
    State(state): State<ApiState>,
    Extension(direction): Extension<Direction>,
    caller: Caller,
    Path((kind, id)): Path<(String, i64)>,
    UrlQuery(query): UrlQuery<DeletionQuery>,
) -> ApiResult<Response> {
    let confirmed = Confirmed::from(&query);
    Collection::new(&state, &kind, direction)?.delete_tasks(&state, &caller, id, None, confirmed).await
}

/// Probes the connection of these settings without storing them, and reports what a sync would do. With `id`, the stored
/// secrets of that storage are used where none are sent.
#[utoipa::path(
    post, path = "/{kind}/validate", operation_id = "import_storages_validate",
    tag = "import storages", params(("kind" = StorageKind, Path, example = "s3"), SaveQuery),
    request_body = ImportStorageRequest,
    responses((status = 200, body = Forecast), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody))
)]
async fn validate(
    State(state): State<ApiState>,
    Extension(direction): Extension<Direction>,
    caller: Caller,
    Path(kind): Path<String>,
    UrlQuery(query): UrlQuery<SaveQuery>,
    Object(sent): Object,
) -> ApiResult<Json<Forecast>> {
    let forecast = Collection::new(&state, &kind, direction)?.validate(&state, &caller, &sent, query).await?;
    Ok(Json(forecast.unwrap_or_default()))
}

/// Shows which objects a sync with these settings would import, and which it would skip and why.
#[utoipa::path(
    post, path = "/{kind}/files", operation_id = "import_storages_files", tag = "import storages",
    params(("kind" = StorageKind, Path, example = "s3")), request_body = ImportStorageRequest,
    responses((status = 200, body = Preview), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody))
)]
async fn files(
    State(state): State<ApiState>,
    Extension(direction): Extension<Direction>,
    caller: Caller,
    Path(kind): Path<String>,
    Object(sent): Object,
) -> ApiResult<Answer> {
    Collection::new(&state, &kind, direction)?.files(&state, &caller, &sent).await
}

/// Enqueues a sync and answers with the storage, without waiting for the sync. Header `X-Longshore-Sync` has the sync's
/// ID.
///
/// If a sync of the storage is live, the answer names that one and no second one starts.
#[utoipa::path(
    post, path = "/{kind}/{id}/sync", operation_id = "import_storages_sync",
    tag = "import storages", params(("kind" = StorageKind, Path, example = "s3"), ("id" = i64, Path)),
    request_body = Option<StartSync>,
    responses((status = 200, body = ImportStorage), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn sync(
    State(state): State<ApiState>,
    Extension(direction): Extension<Direction>,
    access: Access,
    Path((kind, id)): Path<(String, i64)>,
    headers: HeaderMap,
    OptionalJson(body): OptionalJson<StartSync>,
) -> ApiResult<Response> {
    let collection = Collection::new(&state, &kind, direction)?;
    if state.host == HostKind::LabelStudio {
        return collection.sync_of_host(&state, &access, id, &headers, &body).await;
    }
    let (storage, sync) = collection.sync(&state, access.caller()?, id, &headers, &body).await?;
    Ok(([(SYNC_ID, HeaderValue::from(sync))], Json(storage)).into_response())
}
