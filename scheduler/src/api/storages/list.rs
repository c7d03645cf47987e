//! Lists of storages. The host's client knows no pages here, so what does not fit is named by a header.

use longshore_db::Bounded;
use longshore_db::storages::{self, StorageFilter, StorageRow};
use longshore_model::{Direction, StorageKind};
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::StorageBody;
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::answer::Answer;
use crate::api::error::ApiResult;

/// What the list of a kind needs.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ProjectQuery {
    /// The project whose storages to list.
    pub(super) project: Option<i64>,
    /// Only storages with a larger ID: header `Link` of an answer that holds not all has the URL.
    pub(super) after: Option<i64>,
}

/// Every storage of one direction that the caller sees, of all kinds.
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

/// Storages as far as they fit into an answer. The host's client knows no pages here, so what does not fit is named by
/// a header.
pub(super) async fn listed(
    state: &ApiState,
    caller: &Caller,
    filter: &StorageFilter<'_>,
    query: ProjectQuery,
    path: &str,
) -> ApiResult<Answer> {
    let after = query.after.unwrap_or(0);
    let read = |most| async move { Ok(storages::list(&state.db.client().await?, filter, after, most).await?) };
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
