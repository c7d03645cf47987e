//! The routes of import storages, by kind.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use longshore_model::Direction;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::actions::{Collection, SYNC_ID};
use super::body::StorageBody;
use super::connect::Preview;
use super::kind::StorageFields;
use super::list::ProjectQuery;
use super::start::StartSync;
use crate::api::ApiState;
use crate::api::answer::Answer;
use crate::api::auth::Caller;
use crate::api::error::{ApiResult, ErrorBody};
use crate::api::extract::{Json, Object, OptionalJson, Path, UrlQuery};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, patch, put, delete))
        .routes(routes!(validate))
        .routes(routes!(files))
        .routes(routes!(sync))
}

fn collection(kind: &str) -> ApiResult<Collection> {
    Collection::new(kind, Direction::Import)
}

/// Lists a project's import storages of one kind.
#[utoipa::path(
    get, path = "/api/storages/{kind}", operation_id = "import_storages_list", tag = "import storages",
    params(("kind" = String, Path, example = "s3"), ProjectQuery),
    responses((status = 200, body = [StorageBody]), (status = 404, body = ErrorBody))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(kind): Path<String>,
    UrlQuery(query): UrlQuery<ProjectQuery>,
) -> ApiResult<Answer> {
    collection(&kind)?.list(&state, &caller, query).await
}

/// Creates an import storage after trying it out.
#[utoipa::path(
    post, path = "/api/storages/{kind}", operation_id = "import_storages_create", tag = "import storages",
    params(("kind" = String, Path, example = "s3")), request_body = StorageFields,
    responses((status = 201, body = StorageBody), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody))
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Path(kind): Path<String>,
    Object(sent): Object,
) -> ApiResult<(StatusCode, Json<StorageBody>)> {
    Ok((StatusCode::CREATED, Json(collection(&kind)?.create(&state, &caller, sent).await?)))
}

/// Shows an import storage.
#[utoipa::path(
    get, path = "/api/storages/{kind}/{id}", operation_id = "import_storages_get", tag = "import storages",
    params(("kind" = String, Path, example = "s3"), ("id" = i64, Path)),
    responses((status = 200, body = StorageBody), (status = 404, body = ErrorBody))
)]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path((kind, id)): Path<(String, i64)>,
) -> ApiResult<Json<StorageBody>> {
    Ok(Json(collection(&kind)?.get(&state, &caller, id).await?))
}

/// Changes the fields that are sent; secrets that are not sent stay, empty ones are cleared.
#[utoipa::path(
    patch, path = "/api/storages/{kind}/{id}", operation_id = "import_storages_update", tag = "import storages",
    params(("kind" = String, Path, example = "s3"), ("id" = i64, Path)), request_body = StorageFields,
    responses((status = 200, body = StorageBody), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn patch(
    State(state): State<ApiState>,
    caller: Caller,
    Path((kind, id)): Path<(String, i64)>,
    Object(sent): Object,
) -> ApiResult<Json<StorageBody>> {
    Ok(Json(collection(&kind)?.write(&state, &caller, id, sent, false).await?))
}

/// Replaces all fields; secrets that are not sent stay.
#[utoipa::path(
    put, path = "/api/storages/{kind}/{id}", operation_id = "import_storages_replace", tag = "import storages",
    params(("kind" = String, Path, example = "s3"), ("id" = i64, Path)), request_body = StorageFields,
    responses((status = 200, body = StorageBody), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn put(
    State(state): State<ApiState>,
    caller: Caller,
    Path((kind, id)): Path<(String, i64)>,
    Object(sent): Object,
) -> ApiResult<Json<StorageBody>> {
    Ok(Json(collection(&kind)?.write(&state, &caller, id, sent, true).await?))
}

/// Removes an import storage with its history; tasks and objects stay.
#[utoipa::path(
    delete, path = "/api/storages/{kind}/{id}", operation_id = "import_storages_delete", tag = "import storages",
    params(("kind" = String, Path, example = "s3"), ("id" = i64, Path)),
    responses((status = 204), (status = 404, body = ErrorBody))
)]
async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path((kind, id)): Path<(String, i64)>,
) -> ApiResult<StatusCode> {
    collection(&kind)?.delete(&state, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tries settings out without storing them. With `id`, stored secrets are used where none are sent.
#[utoipa::path(
    post, path = "/api/storages/{kind}/validate", operation_id = "import_storages_validate",
    tag = "import storages", params(("kind" = String, Path, example = "s3")), request_body = StorageFields,
    responses((status = 200), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody))
)]
async fn validate(
    State(state): State<ApiState>,
    caller: Caller,
    Path(kind): Path<String>,
    Object(sent): Object,
) -> ApiResult<StatusCode> {
    collection(&kind)?.validate(&state, &caller, &sent).await?;
    Ok(StatusCode::OK)
}

/// Shows which objects a sync with these settings would take, and which it skips by which rule.
#[utoipa::path(
    post, path = "/api/storages/{kind}/files", operation_id = "import_storages_files", tag = "import storages",
    params(("kind" = String, Path, example = "s3")), request_body = StorageFields,
    responses((status = 200, body = Preview), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody))
)]
async fn files(
    State(state): State<ApiState>,
    caller: Caller,
    Path(kind): Path<String>,
    Object(sent): Object,
) -> ApiResult<Answer> {
    collection(&kind)?.files(&state, &caller, &sent).await
}

/// Starts a sync and answers at once with the storage; header `X-Longshore-Sync` names the sync.
///
/// While a sync of the storage is under way it starts no second one.
#[utoipa::path(
    post, path = "/api/storages/{kind}/{id}/sync", operation_id = "import_storages_sync",
    tag = "import storages", params(("kind" = String, Path, example = "s3"), ("id" = i64, Path)),
    request_body = Option<StartSync>,
    responses((status = 200, body = StorageBody), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn sync(
    State(state): State<ApiState>,
    caller: Caller,
    Path((kind, id)): Path<(String, i64)>,
    headers: HeaderMap,
    OptionalJson(body): OptionalJson<StartSync>,
) -> ApiResult<([(HeaderName, HeaderValue); 1], Json<StorageBody>)> {
    let (storage, sync) = collection(&kind)?.sync(&state, &caller, id, &headers, &body).await?;
    Ok(([(SYNC_ID, HeaderValue::from(sync))], Json(storage)))
}
