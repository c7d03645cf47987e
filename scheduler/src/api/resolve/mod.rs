//! Resolving: from a URI in task data to the bytes of its object, for browsers.
//!
//! A storage that signs gets asked for a signed URL, which is answered as a redirect; the objects of
//! others are streamed through. Only URIs count that the task holds, and only storages connected to its
//! project. A browser that cannot send a token brings a [`link`] instead.

mod conditions;
mod content;
mod documents;
mod link;
mod links;
mod local_files;
mod opened;
mod options;
mod place;
mod proxy;
mod query;
mod range;
mod search;

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use longshore_db::resolve::{self, Candidate, Holder};
use longshore_model::uri::{self, ObjectUri};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::{Caller, MaybeCaller};
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Path, UrlQuery};
use proxy::Asked;
use query::{LinkQuery, ResolveQuery};
use search::{holds, unreadable};

pub(super) use link::CheckedLink;
pub(super) use links::{Links, MOST_LINK_BYTES};
pub(super) use opened::Opened;
pub use options::{Origins, ResolveOptions};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(task_resolve))
        .routes(routes!(task_presign))
        .routes(routes!(project_resolve))
        .routes(routes!(project_presign))
        .merge(local_files::routes())
        .merge(documents::routes())
}

/// Gives an object that a task names: 303 to a signed URL, or the object itself.
///
/// Which of both, the storage's `presign` says. The object itself is streamed, in parts if asked by
/// `Range`, and also answers `HEAD`. Whoever cannot send a token uses the links that `/api/tasks` and
/// `/api/resolve` give: they bring `project`, `expires` and `signature`.
#[utoipa::path(
    get, path = "/tasks/{id}/resolve", operation_id = "tasks_resolve", tag = "resolve",
    params(("id" = i64, Path), LinkQuery),
    responses(
        (status = 200, description = "The object."), (status = 206, description = "The part of it that was asked for."),
        (status = 303, description = "`Location` is a signed URL of the storage."),
        (status = 304, description = "It is still what the caller has."),
        (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 416, body = ErrorBody), (status = 424, body = ErrorBody), (status = 503, body = ErrorBody)
    )
)]
async fn task_resolve(
    State(state): State<ApiState>,
    caller: MaybeCaller,
    Path(id): Path<i64>,
    UrlQuery(query): UrlQuery<LinkQuery>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    of_task(&state, caller, id, &query, &Asked::of(&method, &headers)).await
}

/// The older name of `/tasks/{id}/resolve`.
#[utoipa::path(
    get, path = "/tasks/{id}/presign", operation_id = "tasks_presign", tag = "resolve",
    params(("id" = i64, Path), LinkQuery),
    responses((status = 200, description = "As of `/tasks/{id}/resolve`."), (status = 404, body = ErrorBody))
)]
async fn task_presign(
    State(state): State<ApiState>,
    caller: MaybeCaller,
    Path(id): Path<i64>,
    UrlQuery(query): UrlQuery<LinkQuery>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    of_task(&state, caller, id, &query, &Asked::of(&method, &headers)).await
}

/// Gives an object that a storage of the project has made a task of, as `/tasks/{id}/resolve` does.
///
/// The ledger is asked for the object's key, and its task has to hold the URI: objects that tasks only
/// mention are resolved by their task.
#[utoipa::path(
    get, path = "/projects/{id}/resolve", operation_id = "projects_resolve", tag = "resolve",
    params(("id" = i64, Path), ResolveQuery),
    responses((status = 200, description = "As of `/tasks/{id}/resolve`."), (status = 404, body = ErrorBody))
)]
async fn project_resolve(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    UrlQuery(query): UrlQuery<ResolveQuery>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    of_project(&state, &caller, id, &query, &Asked::of(&method, &headers)).await
}

/// The older name of `/projects/{id}/resolve`.
#[utoipa::path(
    get, path = "/projects/{id}/presign", operation_id = "projects_presign", tag = "resolve",
    params(("id" = i64, Path), ResolveQuery),
    responses((status = 200, description = "As of `/tasks/{id}/resolve`."), (status = 404, body = ErrorBody))
)]
async fn project_presign(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<i64>,
    UrlQuery(query): UrlQuery<ResolveQuery>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    of_project(&state, &caller, id, &query, &Asked::of(&method, &headers)).await
}

async fn of_task(
    state: &ApiState,
    MaybeCaller(caller): MaybeCaller,
    id: i64,
    query: &LinkQuery,
    asked: &Asked<'_>,
) -> ApiResult<Response> {
    let uri = read(query.fileuri.as_deref())?;
    let parsed = parsed(&uri)?;
    let client = state.db.client().await?;
    // A link was checked before it was let in, and is made for URIs that the task holds, and for no others.
    let found = resolve::by_task(&client, id, &parsed, caller.is_some()).await.map_err(unreadable)?;
    drop(client);
    let found = found.filter(|(task, _)| caller.as_ref().is_none_or(|caller| caller.sees(task.project_id)));
    let (mut task, storages) = found.ok_or_else(|| ApiError::not_found(format!("task {id}")))?;
    if let Some(caller) = &caller
        && !holds(state, caller, &mut task, &uri).await?
    {
        return Err(not_held("task"));
    }
    answer(state, &task, &storages, &parsed, asked).await
}

async fn of_project(
    state: &ApiState,
    caller: &Caller,
    id: i64,
    query: &ResolveQuery,
    asked: &Asked<'_>,
) -> ApiResult<Response> {
    let uri = read(query.fileuri.as_deref())?;
    let parsed = parsed(&uri)?;
    let client = state.db.client().await?;
    if !caller.sees(id) || longshore_db::projects::size(&client, id).await?.is_none() {
        return Err(ApiError::not_found(format!("project {id}")));
    }
    let key = state.resolve.key(&parsed);
    let found = resolve::by_project(&client, id, &parsed, &key).await.map_err(unreadable)?;
    drop(client);
    let (mut task, storages) = found.ok_or_else(|| not_held("project"))?;
    if !holds(state, caller, &mut task, &uri).await? {
        return Err(not_held("project"));
    }
    answer(state, &task, &storages, &parsed, asked).await
}

/// Answers with the object, once it is certain that the caller may have it.
async fn answer(
    state: &ApiState,
    task: &Holder,
    storages: &[Candidate],
    uri: &ObjectUri<'_>,
    asked: &Asked<'_>,
) -> ApiResult<Response> {
    let key = state.resolve.key(uri);
    let chosen = place::choose(storages, uri, &key, task.storage_id).ok_or_else(no_storage)?;
    let storage = state.opened.get(state, chosen)?;
    let Some(url) = place::signed(storage.as_ref(), &chosen.settings, &key).await? else {
        return proxy::serve(&storage, chosen.id, &key, asked).await;
    };
    let ttl = place::ttl(&chosen.settings);
    // The host's header: nobody keeps the redirect, though it would be good for so long.
    let caching = format!("no-store, max-age={}", ttl.as_secs());
    let headers = [(header::LOCATION, url.expose()), (header::CACHE_CONTROL, caching.as_str())];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

fn read(fileuri: Option<&str>) -> ApiResult<String> {
    let text = fileuri.filter(|text| !text.is_empty());
    let text =
        text.ok_or_else(|| ApiError::unreadable("missing_fileuri", "Query parameter \"fileuri\" is required."))?;
    uri::decode_fileuri(text).ok_or_else(invalid_fileuri)
}

fn parsed(uri: &str) -> ApiResult<ObjectUri<'_>> {
    ObjectUri::parse(uri).ok_or_else(invalid_fileuri)
}

fn invalid_fileuri() -> ApiError {
    ApiError::unreadable(
        "invalid_fileuri",
        "\"fileuri\" has to be a URI such as s3://bucket/key or /data/local-files/?d=path, in base64.",
    )
}

fn not_held(what: &'static str) -> ApiError {
    ApiError::Route {
        status: StatusCode::NOT_FOUND,
        code: "uri_not_held",
        detail: format!("The {what} does not hold this URI."),
    }
}

fn no_storage() -> ApiError {
    ApiError::Route {
        status: StatusCode::NOT_FOUND,
        code: "no_storage",
        detail: "The project has no import storage with the bucket of this URI.".to_owned(),
    }
}
