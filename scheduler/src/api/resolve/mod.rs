//! Resolving: from a URI in task data to the bytes of its object, for browsers.
//!
//! If the storage can presign, the answer redirects to a presigned URL; otherwise the scheduler streams the object.
//! Only URIs that the task holds are resolved, and only with storages of its project. A browser that cannot send a
//! token uses a resolve link, see `access`.

mod choose;
mod conditions;
mod content;
mod decode;
mod documents;
mod links;
mod local_files;
mod options;
mod proxy;
mod range;
mod scope;
mod search;
mod source;
mod storage_cache;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use longshore_db::resolve::{Candidate, Holder};
use longshore_telemetry::Embeddable;
use longshore_uri::ObjectUri;
use serde::Deserialize;
use utoipa_axum::routes;

use super::ApiState;
use super::access::{Access, Caller, HostOwned, LinkQuery, Policy, Role, Routes};
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Path, UrlQuery};
use proxy::ObjectRequest;
use scope::Scope;

pub(super) use links::{Links, MOST_LINK_BYTES};
pub use options::{Origins, ResolveOptions};
pub(super) use storage_cache::StorageCache;

pub(super) fn routes() -> Routes {
    let or_link = Policy::from(Role::Read).or_link();
    let of_project = Policy::from(Role::Read).native_only(HostOwned::Files);
    Routes::default()
        .route(or_link.or_host_user(), routes!(task_resolve))
        .route(or_link.or_host_user(), routes!(task_presign))
        .route(of_project, routes!(project_resolve))
        .route(of_project, routes!(project_presign))
        .merge(local_files::routes())
        .merge(documents::routes())
}

/// Selects an object.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ResolveQuery {
    /// The URI in base64, standard or URL-safe; unencoded works too.
    fileuri: Option<String>,
}

/// Answers with an object that a task names: with a redirect to a presigned URL, or with the object itself.
///
/// The storage's `presign` decides which. The object itself is streamed, in part if `Range` asks for it; `HEAD` works
/// too. A client that cannot send a token uses the links of `/api/tasks` and `/api/resolve`, which have `project`,
/// `expires` and `signature`.
#[utoipa::path(
    get, path = "/tasks/{id}/resolve", operation_id = "tasks_resolve", tag = "resolve",
    security(("token" = []), ("bearer" = []), ("api_key" = []), ("link" = [])),
    params(("id" = i64, Path), LinkQuery),
    responses(
        (status = 200, description = "The object."), (status = 206, description = "The requested part of it."),
        (status = 303, description = "`Location` is a presigned URL of the storage."),
        (status = 304, description = "The caller has the current object."),
        (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 416, body = ErrorBody), (status = 424, body = ErrorBody), (status = 503, body = ErrorBody)
    )
)]
async fn task_resolve(
    State(state): State<ApiState>,
    access: Access,
    Path(id): Path<i64>,
    UrlQuery(query): UrlQuery<LinkQuery>,
    request: ObjectRequest,
) -> ApiResult<Response> {
    let (scope, uri) = Scope::task(access, id, query.fileuri)?;
    resolve(&state, &scope, &uri, request).await
}

/// The older name of `/tasks/{id}/resolve`.
#[utoipa::path(
    get, path = "/tasks/{id}/presign", operation_id = "tasks_presign", tag = "resolve",
    security(("token" = []), ("bearer" = []), ("api_key" = []), ("link" = [])),
    params(("id" = i64, Path), LinkQuery),
    responses((status = 200, description = "The same as for `/tasks/{id}/resolve`."), (status = 404, body = ErrorBody))
)]
async fn task_presign(
    State(state): State<ApiState>,
    access: Access,
    Path(id): Path<i64>,
    UrlQuery(query): UrlQuery<LinkQuery>,
    request: ObjectRequest,
) -> ApiResult<Response> {
    let (scope, uri) = Scope::task(access, id, query.fileuri)?;
    resolve(&state, &scope, &uri, request).await
}

/// Answers with an object that was imported into the project, as `/tasks/{id}/resolve` does.
///
/// The ledger must have the object's key, and the task of the object must hold the URI. For objects that tasks only
/// mention, use `/tasks/{id}/resolve`.
#[utoipa::path(
    get, path = "/projects/{id}/resolve", operation_id = "projects_resolve", tag = "resolve",
    params(("id" = i64, Path), ResolveQuery),
    responses((status = 200, description = "The same as for `/tasks/{id}/resolve`."), (status = 404, body = ErrorBody))
)]
async fn project_resolve(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    UrlQuery(query): UrlQuery<ResolveQuery>,
    request: ObjectRequest,
) -> ApiResult<Response> {
    resolve(&state, &Scope::Project { id, caller }, &read_fileuri(query.fileuri)?, request).await
}

/// The older name of `/projects/{id}/resolve`.
#[utoipa::path(
    get, path = "/projects/{id}/presign", operation_id = "projects_presign", tag = "resolve",
    params(("id" = i64, Path), ResolveQuery),
    responses((status = 200, description = "The same as for `/tasks/{id}/resolve`."), (status = 404, body = ErrorBody))
)]
async fn project_presign(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    UrlQuery(query): UrlQuery<ResolveQuery>,
    request: ObjectRequest,
) -> ApiResult<Response> {
    resolve(&state, &Scope::Project { id, caller }, &read_fileuri(query.fileuri)?, request).await
}

/// The work of the four routes: finds the task in the scope that holds the URI, and answers with the object.
async fn resolve(state: &ApiState, scope: &Scope, uri: &str, request: ObjectRequest) -> ApiResult<Response> {
    let parsed = ObjectUri::parse(uri).ok_or_else(invalid_fileuri)?;
    let (task, storages) = scope.holder(state, uri, &parsed).await?;
    match answer(state, &task, &storages, &parsed, &request).await {
        Err(error)
            if error.is_missing()
                && let Some(plain) = parsed.with_plain_path() =>
        {
            answer(state, &task, &storages, &plain, &request).await
        }
        answer => answer,
    }
}

/// Answers with the object, once it is certain that the caller may have it.
async fn answer(
    state: &ApiState,
    task: &Holder,
    storages: &[Candidate],
    uri: &ObjectUri<'_>,
    request: &ObjectRequest,
) -> ApiResult<Response> {
    let key = state.resolve.key(uri);
    let chosen = choose::choose(storages, uri, &key, task.storage_id).ok_or_else(no_storage)?;
    let storage = state.open_storages.get(state, chosen)?;
    let Some(url) = choose::presigned(storage.as_ref(), &chosen.settings, &key).await? else {
        return proxy::serve(&storage, chosen.id, &key, request).await;
    };
    let ttl = choose::ttl(&chosen.settings);
    // The same header as Label Studio's. No cache stores the redirect, although the URL is valid for this long.
    let caching = format!("no-store, max-age={}", ttl.as_secs());
    let headers = [(header::LOCATION, url.expose()), (header::CACHE_CONTROL, caching.as_str())];
    Ok((StatusCode::SEE_OTHER, Extension(Embeddable), headers).into_response())
}

fn read_fileuri(fileuri: Option<String>) -> ApiResult<String> {
    let text = fileuri.filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| ApiError::unreadable("missing_fileuri", "Query parameter `fileuri` is required."))?;
    longshore_uri::decode_fileuri(&text).ok_or_else(invalid_fileuri)
}

fn invalid_fileuri() -> ApiError {
    ApiError::unreadable(
        "invalid_fileuri",
        "`fileuri` must be a URI such as `s3://bucket/key` or `/data/local-files/?d=path`, in base64.",
    )
}

fn no_storage() -> ApiError {
    ApiError::Route {
        status: StatusCode::NOT_FOUND,
        code: "no_storage",
        detail: "The project has no import storage with the bucket of this URI. Add one, or fix the URI.".to_owned(),
    }
}
