//! Which rows must hold a URI, so that its object is served.

use axum::http::StatusCode;
use longshore_db::resolve::{self, Candidate, Holder};
use longshore_uri::ObjectUri;

use super::read_fileuri;
use super::search::holds;
use super::source::{self, unreadable};
use crate::api::ApiState;
use crate::api::access::{Access, Caller, HostUser};
use crate::api::error::{ApiError, ApiResult};

/// Which rows must hold a URI, so that its object is served.
pub(super) enum Scope {
    /// This task holds the URI.
    Task { id: i64, caller: Caller },
    /// This task of Label Studio holds the URI, and the user may see it.
    TaskOfUser { id: i64, user: HostUser },
    /// The task of a verified link. Longshore made the link because the task held the URI.
    LinkedTask { id: i64 },
    /// The object with this URI became a task of the project, and the task holds the URI.
    Project { id: i64, caller: Caller },
}

impl Scope {
    /// The scope and the URI of a request for a task. With a link, both come from the link, so that only signed values
    /// are used.
    pub(super) fn task(access: Access, id: i64, fileuri: Option<String>) -> ApiResult<(Self, String)> {
        match access {
            Access::Token(caller) => Ok((Self::Task { id, caller }, read_fileuri(fileuri)?)),
            Access::HostUser(user) => Ok((Self::TaskOfUser { id, user }, read_fileuri(fileuri)?)),
            Access::Link(link) => Ok((Self::LinkedTask { id: link.task() }, link.uri().to_owned())),
        }
    }

    /// Finds the task that holds the URI, and the storages of its project that fit the URI.
    ///
    /// # Errors
    /// The caller cannot access the task or the project, or it does not hold the URI.
    pub(super) async fn holder(
        &self,
        state: &ApiState,
        uri: &str,
        parsed: &ObjectUri<'_>,
    ) -> ApiResult<(Holder, Vec<Candidate>)> {
        let client = state.db.client().await?;
        let not_found = |id: &i64| ApiError::not_found(format!("task {id}"));
        let (name, found) = match self {
            Self::Task { id, caller } => {
                let found = source::task(state, &client, *id, Some(parsed), true).await?;
                (Some(&caller.name), Some(caller.visible(found, |(task, _)| task.project_id, format!("task {id}"))?))
            }
            Self::TaskOfUser { id, user } => {
                let found = source::task_of_user(&client, *id, parsed, user).await?;
                (Some(&user.name), Some(found.ok_or_else(|| not_found(id))?))
            }
            Self::LinkedTask { id } => {
                let found = source::task(state, &client, *id, Some(parsed), false).await?;
                (None, Some(found.ok_or_else(|| not_found(id))?))
            }
            Self::Project { id, caller } => {
                let size = longshore_db::projects::size(&client, *id).await?;
                caller.visible(size, |_| *id, format!("project {id}"))?;
                let key = state.resolve.key(parsed);
                (Some(&caller.name), resolve::by_project(&client, *id, parsed, &key).await.map_err(unreadable)?)
            }
        };
        // The search in large data takes time and needs no database connection.
        drop(client);
        let (mut task, storages) = found.ok_or_else(|| self.not_held())?;
        if let Some(name) = name
            && !holds(state, name, &mut task, uri).await?
        {
            return Err(self.not_held());
        }
        Ok((task, storages))
    }

    fn not_held(&self) -> ApiError {
        let what = match self {
            Self::Task { .. } | Self::TaskOfUser { .. } | Self::LinkedTask { .. } => "task",
            Self::Project { .. } => "project",
        };
        ApiError::Route {
            status: StatusCode::NOT_FOUND,
            code: "uri_not_held",
            detail: format!("The {what} does not hold this URI."),
        }
    }
}
