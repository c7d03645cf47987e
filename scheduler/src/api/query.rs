//! The query parameters of lists.

use jiff::Timestamp;
use longshore_model::{QuarantineReason, SyncStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::client_address::AuditedAddress;

/// Selects syncs.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SyncQuery {
    pub(super) project: Option<i64>,
    pub(super) storage: Option<i64>,
    pub(super) status: Option<SyncStatus>,
    /// Only syncs that were requested at this time or later.
    pub(super) since: Option<Timestamp>,
    /// Only syncs that were requested at an earlier time.
    pub(super) until: Option<Timestamp>,
    /// Only syncs with a smaller ID: send `next_before` of the previous page.
    pub(super) before: Option<i64>,
    /// Syncs per page; 50 by default, 500 at most.
    pub(super) limit: Option<i64>,
}

/// Selects quarantined objects.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct QuarantineQuery {
    pub(super) project: Option<i64>,
    pub(super) storage: Option<i64>,
    pub(super) sync: Option<i64>,
    pub(super) state: Option<QuarantineState>,
    pub(super) reason: Option<QuarantineReason>,
    /// Only rows with a smaller ID: send `next_before` of the previous page.
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
    /// The next sync tries the object again.
    Replay,
    /// A user gave it up.
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

/// Selects tasks.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TaskQuery {
    pub(super) project: Option<i64>,
    /// The number of the page, from 1.
    pub(super) page: Option<i64>,
    /// Only tasks with a larger ID, instead of `page`: send the last ID of the previous page.
    pub(super) after: Option<i64>,
    /// Tasks per page; 100 by default, 1,000 at most.
    pub(super) page_size: Option<i64>,
    /// `all` adds annotations, predictions and drafts.
    pub(super) fields: Option<String>,
    /// `false` does not change URIs in the data. By default, links that browsers can load replace them.
    pub(super) resolve_uri: Option<bool>,
}

/// How to show a task.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TaskView {
    /// `false` does not change URIs in the data. By default, links that browsers can load replace them.
    pub(super) resolve_uri: Option<bool>,
}

/// The start of a list's next page.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AfterQuery {
    /// Only rows with a larger ID. If an answer does not hold all rows, its header `Link` has the URL of the next ones.
    pub(super) after: Option<i64>,
}

/// Selects predictions.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PredictionQuery {
    /// Needed: only predictions of this task.
    pub(super) task: Option<i64>,
    /// Only predictions with a larger ID. If an answer does not hold all, its header `Link` has the URL of the next ones.
    pub(super) after: Option<i64>,
}

/// The start of the next jobs of a sync.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct JobsQuery {
    /// Only jobs with a larger ID: send `next_jobs_after` of the previous answer.
    pub(super) jobs_after: Option<i64>,
}

/// Selects audit entries.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// What was done, such as `storage.update`; `request.denied` for requests that were denied access.
    pub(super) action: Option<String>,
    pub(super) source: Option<AuditSource>,
    /// The ID of a token.
    pub(super) token: Option<i64>,
    /// The address of the caller, which also finds the denials of its network; or such a network, as entries show it.
    #[param(value_type = Option<String>, example = "2001:db8::/64")]
    pub(super) address: Option<AuditedAddress>,
    pub(super) project: Option<i64>,
    pub(super) storage: Option<i64>,
    pub(super) sync: Option<i64>,
    /// Only entries of this time or later.
    pub(super) since: Option<Timestamp>,
    /// Only entries of an earlier time.
    pub(super) until: Option<Timestamp>,
    /// Only entries with a smaller ID: send `next_before` of the previous page.
    pub(super) before: Option<i64>,
    /// Entries per page; 100 by default, 1,000 at most.
    pub(super) limit: Option<i64>,
}

/// Where a change came from.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AuditSource {
    /// A caller of the API.
    Api,
    /// A role of the database that called `longshore.enqueue_sync`.
    Sql,
    /// A message to `longshore.requests`.
    Amqp,
    /// The scheduler itself, at its start or by a command.
    Scheduler,
}

impl AuditSource {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Sql => "sql",
            Self::Amqp => "amqp",
            Self::Scheduler => "scheduler",
        }
    }
}

/// How to delete tasks.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeletionQuery {
    /// How many tasks there are. Without it, or with another number, nothing is deleted, and the answer says what would be.
    pub(super) confirm: Option<String>,
    /// `true` keeps the objects in the ledger, so that no sync imports them again.
    pub(super) keep: Option<bool>,
}

/// What to delete with a storage.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StorageDeletion {
    /// `true` deletes the tasks that the storage made, too.
    pub(super) tasks: Option<bool>,
    /// With `tasks=true`: how many tasks there are. Without it, nothing is deleted, and the answer says what would be.
    pub(super) confirm: Option<String>,
}

/// How to delete a project.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ProjectDeletion {
    /// How many tasks the project has. Needed if it has tasks or storages; without it, the answer says what would be deleted.
    pub(super) confirm: Option<String>,
}

/// How to delete a task.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TaskDeletion {
    /// `true` keeps the task's object in the ledger, so that no sync imports it again.
    pub(super) keep: Option<bool>,
}

/// The action and its project.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ActionQuery {
    /// The action: `delete_tasks`.
    #[param(example = "delete_tasks")]
    pub(super) id: Option<String>,
    pub(super) project: Option<i64>,
    /// If all tasks are selected: how many there are. Without it nothing is deleted, and the answer says what would be.
    pub(super) confirm: Option<String>,
    /// `true` keeps the objects in the ledger, so that no sync imports them again.
    pub(super) keep: Option<bool>,
}

/// How to make tasks of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TaskImport {
    /// `true` adds `task_ids` to the answer.
    pub(super) return_task_ids: Option<bool>,
    /// Must not be `false`: Longshore keeps no uploads without tasks.
    pub(super) commit_to_project: Option<bool>,
    /// Must be empty: Longshore reads predictions from `predictions` only.
    pub(super) preannotated_from_fields: Option<String>,
}

/// Selects a page of dead letters.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeadLetterQuery {
    /// How many of the oldest letters to skip: send `next_skip` of the previous page.
    pub(super) skip: Option<usize>,
    /// Letters per page; 100 by default, 1,000 at most.
    pub(super) limit: Option<usize>,
}

/// Selects the dead letters to delete.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeadLetterDeletion {
    /// IDs with commas between them, at most 1,000.
    pub(super) ids: Option<String>,
    /// `true` deletes all dead letters.
    #[serde(default)]
    pub(super) all: bool,
}
