//! Deletions of many tasks: what they take, the confirmation, and the sync that deletes them.

use axum::response::Response;
use longshore_db::lifecycle::{self, DeletionRequest};
use longshore_db::syncs::{LiveDeletion, NewDeletion};
use longshore_db::tasks::{self, Takes};
use longshore_db::{Counts, Error, Transaction, audit, exports, storages};
use longshore_model::Removed;
use serde_json::json;

use super::ApiState;
use super::access::{Caller, Role};
use super::error::{ApiError, ApiResult};
use super::memory::Reserved;
use super::query::DeletionQuery;
use super::syncs::begun;

/// What a request says about a deletion.
#[derive(Debug, Clone, Copy)]
pub(super) struct Confirmed<'a> {
    /// Whether the ledger keeps the objects.
    pub(super) keep: bool,
    /// The number of tasks, as the request says it.
    pub(super) confirm: Option<&'a str>,
}

impl<'a> From<&'a DeletionQuery> for Confirmed<'a> {
    fn from(query: &'a DeletionQuery) -> Self {
        Self { keep: query.keep.unwrap_or_default(), confirm: query.confirm.as_deref() }
    }
}

/// Starts a deletion, or returns the live one of the same tasks.
///
/// # Errors
/// The request does not say how many tasks there are, or an import or another deletion in the project is live.
pub(super) async fn start(
    state: &ApiState,
    caller: &Caller,
    mut new: NewDeletion,
    confirm: Option<&str>,
) -> ApiResult<Response> {
    let takes = count(state, &new).await?;
    if confirm != Some(&takes.tasks.to_string()) {
        return Err(ApiError::Unconfirmed { detail: described(&new, &takes, confirm.is_some()), takes });
    }
    new.deletion.tasks = takes.tasks;
    let new = &new;
    let work = |reserved: Reserved| async move {
        let mut client = state.db.client().await?;
        let tx = client.transaction().await.map_err(Error::from)?;
        let id = match lifecycle::enqueue_deletion(&tx, new).await? {
            DeletionRequest::Started(id) => {
                record(&tx, caller, new, id, &takes).await?;
                // Counting takes long in a large project, and meanwhile the token may have been deleted.
                caller.confirmed(&tx, Role::Admin).await?;
                id
            }
            DeletionRequest::Live(live) if is_same(&live, new) => live.id,
            DeletionRequest::Live(live) => {
                let detail =
                    format!("Sync {} is deleting tasks of this project. Wait until it ends, or cancel it.", live.id);
                return Err(ApiError::refused("sync_live", detail).into());
            }
            DeletionRequest::ImportLive { sync_id, storage_id } => {
                let detail = format!(
                    "Sync {sync_id} is importing from storage {storage_id}. Cancel it or wait until it ends, then delete \
                     the tasks."
                );
                return Err(ApiError::refused("sync_live", detail).into());
            }
        };
        Ok(begun(state, tx, id, reserved).await?)
    };
    state.memory.work(&caller.name, work).await
}

/// The most tasks that are deleted by one statement.
const CHUNK: usize = 1_000;

/// Deletes tasks of a project at once, with their annotations and predictions.
pub(super) async fn delete_now(
    state: &ApiState,
    caller: &Caller,
    project: i64,
    ids: &[i64],
    keep: bool,
) -> ApiResult<Counts> {
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let mut counts = Counts::default();
    for chunk in ids.chunks(CHUNK) {
        counts += lifecycle::delete_tasks(&tx, chunk, keep).await?;
    }
    if counts.deleted_tasks == 0 {
        return Ok(counts);
    }
    let named = match ids {
        [id] => json!({"task": id}),
        // Their IDs would be a long row.
        _ => json!({"tasks": counts.deleted_tasks}),
    };
    let mut detail = json!({"keep": keep, "annotations": counts.deleted_annotations});
    if let (Some(detail), Some(named)) = (detail.as_object_mut(), named.as_object()) {
        detail.extend(named.clone());
    }
    let entry = audit::Entry { project_id: Some(project), detail, ..caller.did("task.delete") };
    audit::write(&tx, &entry).await?;
    // A disabled storage gets no job now. Its next sync finds the deletion.
    if counts.deleted_annotations > 0 {
        for storage in storages::deleting(&tx, project).await? {
            if exports::is_used(&tx, storage).await? {
                lifecycle::add_delete_job(&tx, storage, None).await?;
            }
        }
    }
    tx.commit().await.map_err(Error::from)?;
    state.db.wake_relay();
    Ok(counts)
}

/// Counts what a deletion takes. No row is locked: counting takes long in a large project.
pub(super) async fn count(state: &ApiState, new: &NewDeletion) -> ApiResult<Takes> {
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let takes = tasks::takes(&tx, new).await?;
    tx.commit().await.map_err(Error::from)?;
    Ok(takes)
}

fn is_same(live: &LiveDeletion, new: &NewDeletion) -> bool {
    let (live_deletion, deletion) = (live.deletion, new.deletion);
    live.storage_id == new.storage_id
        && (live_deletion.keep, live_deletion.removes) == (deletion.keep, deletion.removes)
}

/// What a deletion takes, and how to confirm it.
fn described(new: &NewDeletion, takes: &Takes, is_outdated: bool) -> String {
    let Takes { tasks, annotations, predictions, objects, exports, storages } = takes;
    let mut text = if is_outdated { "The number of tasks has changed. ".to_owned() } else { String::new() };
    text += &format!("This deletes tasks: {tasks}, annotations: {annotations}, predictions: {predictions}.");
    text += &match (new.deletion.removes, new.deletion.keep) {
        (Some(Removed::Project), _) => format!(" Then it deletes the project and its storages: {storages}."),
        (Some(Removed::Storage), _) => " Then it deletes the storage.".to_owned(),
        (None, true) => " The ledger keeps their objects, so no sync imports them again.".to_owned(),
        (None, false) => format!(
            " The next sync imports their objects again: {objects} ledger entries go too. With `keep=true` they stay, and \
             no sync imports the objects again."
        ),
    };
    if *exports > 0 {
        text += &match new.deletion.removes {
            Some(Removed::Project) => format!(" Exported objects stay in their buckets: {exports}."),
            _ => format!(" Exported objects of these tasks: {exports}. Storages that may delete objects delete them."),
        };
    }
    text + &format!(" Send `confirm={tasks}` to do it.")
}

async fn record(tx: &Transaction<'_>, caller: &Caller, new: &NewDeletion, sync: i64, takes: &Takes) -> ApiResult<()> {
    let action = match new.deletion.removes {
        Some(Removed::Project) => "project.delete",
        Some(Removed::Storage) => "storage.delete",
        None => "tasks.delete",
    };
    let entry = audit::Entry {
        project_id: Some(new.project_id),
        storage_id: new.storage_id,
        sync_id: Some(sync),
        detail: json!({"keep": new.deletion.keep, "takes": takes}),
        ..caller.did(action)
    };
    Ok(audit::write(tx, &entry).await?)
}
