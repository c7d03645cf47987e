//! Lists of storages. Label Studio's client expects no pages here, so header `Link` has the URL of storages that do not
//! fit.

use longshore_db::Bounded;
use longshore_db::host::HostKind;
use longshore_db::host::label_studio::handles;
use longshore_db::storages::{self, StorageFilter, StorageRow};
use longshore_model::{Direction, StorageKind};
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::StorageBody;
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::answer::Answer;
use crate::api::error::ApiResult;

/// Selects the storages of a list.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ProjectQuery {
    /// The project whose storages are listed.
    pub(super) project: Option<i64>,
    /// Only storages with a larger ID. If an answer does not hold all storages, its header `Link` has the URL of the
    /// next ones.
    pub(super) after: Option<i64>,
}

/// What a request that saves or validates a storage asks for besides.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SaveQuery {
    /// `true` refuses settings that have warnings, with the code `warnings`.
    pub(super) strict: Option<bool>,
    /// `false` leaves out the look at the storage, and with it `report` and `warnings`.
    pub(super) report: Option<bool>,
}

/// Lists the storages of all kinds in one direction that the caller can access.
pub(super) async fn list_all(
    state: &ApiState,
    caller: &Caller,
    direction: Direction,
    query: ProjectQuery,
) -> ApiResult<Answer> {
    let filter =
        StorageFilter { direction: Some(direction), kind: None, project: query.project, projects: caller.scope() };
    let path = match direction {
        Direction::Import => "/api/storages",
        Direction::Export => "/api/storages/export",
    };
    listed(state, caller, &filter, query, path).await
}

/// Answers with the storages that fit, and the URL of the next ones in header `Link`.
pub(super) async fn listed(
    state: &ApiState,
    caller: &Caller,
    filter: &StorageFilter<'_>,
    query: ProjectQuery,
    path: &str,
) -> ApiResult<Answer> {
    let after = query.after.unwrap_or(0);
    let read = |most| async move {
        let client = state.db.client().await?;
        Ok(match (state.host, filter.direction) {
            (HostKind::LabelStudio, Some(direction)) => handles::list(&client, filter, direction, after, most).await?,
            (HostKind::LabelStudio, None) | (HostKind::Native, _) => {
                storages::list(&client, filter, after, most).await?
            }
        })
    };
    let show = |mut rows: Bounded<StorageRow>| {
        let next = rows.rows.last().filter(|_| rows.is_cut).map(|row| {
            let project = query.project.map(|project| format!("project={project}&")).unwrap_or_default();
            format!("{path}?{project}after={}", row.id)
        });
        if filter.kind.is_none() {
            rows.rows.sort_by_key(|row| StorageKind::ALL.iter().position(|kind| *kind == row.kind));
        }
        (rows.rows.into_iter().map(StorageBody::from).collect::<Vec<_>>(), next)
    };
    Answer::list(state, caller, read, show).await
}
