//! The query parameters of lists.

use longshore_model::{QuarantineReason, SyncStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which syncs.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SyncQuery {
    pub(super) project: Option<i64>,
    pub(super) storage: Option<i64>,
    pub(super) status: Option<SyncStatus>,
    /// Only syncs with a smaller id: `next_before` of the page before.
    pub(super) before: Option<i64>,
    /// Syncs per page; 50 by default, 500 at most.
    pub(super) limit: Option<i64>,
}

/// Which quarantine.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct QuarantineQuery {
    pub(super) project: Option<i64>,
    pub(super) storage: Option<i64>,
    pub(super) sync: Option<i64>,
    pub(super) state: Option<QuarantineState>,
    pub(super) reason: Option<QuarantineReason>,
    /// Only rows with a smaller id: `next_before` of the page before.
    pub(super) before: Option<i64>,
    /// Rows per page; 100 by default, 1,000 at most.
    pub(super) limit: Option<i64>,
}

/// The state of a quarantined object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum QuarantineState {
    /// In quarantine.
    Open,
    /// The next sync tries again.
    Replay,
    /// Given up by a user.
    Discarded,
}

impl QuarantineState {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replay => "replay",
            Self::Discarded => "discarded",
        }
    }
}

/// Which tasks.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TaskQuery {
    pub(super) project: Option<i64>,
    /// The number of the page, from 1.
    pub(super) page: Option<i64>,
    /// Only tasks with a larger id, in place of `page`: the last id of the page before.
    pub(super) after: Option<i64>,
    /// Tasks per page; 100 by default, 1,000 at most.
    pub(super) page_size: Option<i64>,
    /// `all` adds annotations, predictions and drafts.
    pub(super) fields: Option<String>,
    /// `false` leaves URIs in the data as they are; by default they become links that browsers can load.
    pub(super) resolve_uri: Option<bool>,
}

/// How to show a task.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TaskView {
    /// `false` leaves URIs in the data as they are; by default they become links that browsers can load.
    pub(super) resolve_uri: Option<bool>,
}

/// Where a list goes on.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AfterQuery {
    /// Only rows with a larger ID: header `Link` of an answer that holds not all has the URL.
    pub(super) after: Option<i64>,
}

/// Where the jobs of a sync go on.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct JobsQuery {
    /// Only jobs with a larger ID: `next_jobs_after` of the answer before.
    pub(super) jobs_after: Option<i64>,
}
