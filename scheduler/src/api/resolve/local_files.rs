//! The route of local files, by their path below the operator's folder, as in Label Studio.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use longshore_db::resolve::{self, Candidate};
use longshore_storage::{DocumentRoot, ErrorKind, StorageError};
use longshore_uri::ObjectUri;
use utoipa_axum::routes;

use super::choose::choose;
use super::proxy::{self, ObjectRequest};
use crate::api::ApiState;
use crate::api::access::{Caller, HostOwned, Policy, Role, Routes};
use crate::api::error::{ApiError, ApiResult, ErrorBody};

const NOT_SERVED: &str = "Local files are not served. Ask the operator to set LOCAL_FILES_SERVING_ENABLED to true and \
    LOCAL_FILES_DOCUMENT_ROOT to a folder.";

pub(super) fn routes() -> Routes {
    Routes::default().route(Policy::from(Role::Read).native_only(HostOwned::Files), routes!(local_file))
}

/// Streams a local file, whole or in part, from a folder that is a storage of one of the caller's projects.
#[utoipa::path(
    get, path = "/data/local-files", operation_id = "local_files_get", tag = "resolve",
    params(("d" = Option<String>, Query, description = "The path below the operator's folder.")),
    responses(
        (status = 200, description = "The file."), (status = 206, description = "The requested part of it."),
        (status = 304, description = "The caller has the current object."), (status = 400, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 416, body = ErrorBody)
    )
)]
async fn local_file(
    State(state): State<ApiState>,
    caller: Caller,
    RawQuery(query): RawQuery,
    request: ObjectRequest,
) -> ApiResult<Response> {
    let root = state.resolve.local_files.as_ref().ok_or_else(|| ApiError::forbidden(NOT_SERVED))?;
    let link = format!("/data/local-files?{}", query.unwrap_or_default());
    let uri = ObjectUri::parse(&link)
        .ok_or_else(|| ApiError::unreadable("missing_path", "Query parameter `d` must be the path of a file."))?;
    match serve(&state, &caller, root, &uri, &request).await {
        Err(ApiError::NotFound(_)) if let Some(plain) = uri.with_plain_path() => {
            serve(&state, &caller, root, &plain, &request).await
        }
        answer => answer,
    }
}

/// Streams the file of a URI.
async fn serve(
    state: &ApiState,
    caller: &Caller,
    root: &DocumentRoot,
    uri: &ObjectUri<'_>,
    request: &ObjectRequest,
) -> ApiResult<Response> {
    let not_found = || ApiError::not_found("connected file with this path");
    // The storage would follow such a path; a connected folder never needs one.
    if uri.key.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(not_found());
    }
    let key = state.resolve.key(uri);
    let folders = connected_folders(state, root, caller.scope()).await?;
    let Some(folder) = choose(&folders, uri, &key, None) else {
        // For the count of denials: whether another project has connected the folder.
        let others = if caller.scope().is_some() { connected_folders(state, root, None).await? } else { Vec::new() };
        let is_hidden = choose(&others, uri, &key, None).is_some();
        return Err(if is_hidden { not_found().hiding_a_row() } else { not_found() });
    };
    let storage = state.open_storages.get(state, folder)?;
    match proxy::serve(&storage, folder.id, &key, request).await {
        // A folder, and a symlink to outside of the root, count as missing too.
        Err(ApiError::Storage(StorageError {
            kind: ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Invalid,
            ..
        })) => Err(not_found()),
        answer => answer,
    }
}

/// The folders that projects of `scope` have connected; `None` means all projects.
async fn connected_folders(state: &ApiState, root: &DocumentRoot, scope: Option<&[i64]>) -> ApiResult<Vec<Candidate>> {
    let client = state.db.client().await?;
    let mut folders = resolve::local_files(&client, scope).await?;
    // A storage that was saved under another root must not hide one of the project that has the file.
    folders.retain(|folder| root.holds(folder.project_id, folder.settings.connection.prefix().trim_end_matches('/')));
    Ok(folders)
}
