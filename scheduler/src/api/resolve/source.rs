//! Reads tasks and storages from the tables of the host.

use longshore_db::Client;
use longshore_db::host::HostKind;
use longshore_db::host::label_studio::resolve as label_studio;
use longshore_db::resolve::{self, Candidate, Holder};
use longshore_uri::ObjectUri;

use crate::api::ApiState;
use crate::api::access::HostUser;
use crate::api::error::{ApiError, ApiResult};

/// A task and the storages of its project that a URI may be on, or all of them without a URI. `None` if there is no such
/// task. Its data is only read if `with_data` is true.
pub(super) async fn task(
    state: &ApiState,
    client: &Client,
    id: i64,
    uri: Option<&ObjectUri<'_>>,
    with_data: bool,
) -> ApiResult<Option<(Holder, Vec<Candidate>)>> {
    match (state.host, uri) {
        (HostKind::Native, Some(uri)) => resolve::by_task(client, id, uri, with_data).await.map_err(unreadable),
        (HostKind::Native, None) => resolve::whole_task(client, id).await.map_err(unreadable),
        (HostKind::LabelStudio, _) => {
            let found = label_studio::task(client, id, uri, with_data, None).await.map_err(unreadable)?;
            let Some(task) = found else { return Ok(None) };
            let storages = label_studio::storages(client, task.holder.project_id, uri).await?;
            Ok(Some((task.holder, storages)))
        }
    }
}

/// The same for a user of Label Studio, by the rule of its open edition: the members of an organization may see its
/// projects until they are removed.
///
/// # Errors
/// The user was removed from the organization.
pub(super) async fn task_of_user(
    client: &Client,
    id: i64,
    uri: &ObjectUri<'_>,
    user: &HostUser,
) -> ApiResult<Option<(Holder, Vec<Candidate>)>> {
    let found = label_studio::task(client, id, Some(uri), true, Some(user.id)).await.map_err(unreadable)?;
    let Some(task) = found else { return Ok(None) };
    if task.is_removed {
        return Err(ApiError::forbidden("The user was removed from the organization of this project in Label Studio."));
    }
    let storages = label_studio::storages(client, task.holder.project_id, Some(uri)).await?;
    Ok(Some((task.holder, storages)))
}

/// The data of a task, however large. `None` if there is no such task.
pub(super) async fn data(state: &ApiState, client: &Client, id: i64) -> ApiResult<Option<String>> {
    match state.host {
        HostKind::Native => resolve::data(client, id).await,
        HostKind::LabelStudio => label_studio::data(client, id).await,
    }
    .map_err(unreadable)
}

/// The answer for data that Postgres cannot print, which is not a failure of the database.
pub(super) fn unreadable(error: longshore_db::Error) -> ApiError {
    if error.is_unreadable_row() { ApiError::task_too_large() } else { error.into() }
}
