//! Deletes tasks: one at once, or those of a storage or a project as a sync with one job.
//!
//! A page deletes whole objects. Otherwise a cancelled deletion would leave objects of which the ledger has a part, and
//! no sync would import the rest again.
//!
//! Annotations are locked before their tasks, as each change of an annotation does.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use longshore_model::Removed;

use super::{add_delete_job, remove_storage};
use crate::objects::{self, LedgerPlace};
use crate::syncs::{self, LiveDeletion, NewDeletion};
use crate::tasks::{self, TaskRange};
use crate::{
    Counts, Error, GenericClient, Result, Transaction, annotations, exports, predictions, projects, quarantine,
    storages,
};

/// What became of a request for a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletionRequest {
    /// The sync with this ID deletes the tasks.
    Started(i64),
    /// A deletion in the project is live.
    Live(LiveDeletion),
    /// An import into the project is live: it would make tasks while they are deleted.
    ImportLive {
        /// ID of the sync.
        sync_id: i64,
        /// ID of its storage.
        storage_id: i64,
    },
}

/// Enqueues a deletion, unless an import of its storages or another deletion in the project is live.
///
/// # Errors
/// [`Error::NotFound`] if the project, or its import storage, does not exist.
pub async fn enqueue_deletion(tx: &Transaction<'_>, new: &NewDeletion) -> Result<DeletionRequest> {
    if !projects::lock(tx, new.project_id).await? {
        return Err(Error::NotFound(format!("project {}", new.project_id)));
    }
    let locked = storages::lock_imports(tx, new.project_id, new.storage_id).await?;
    if let Some(storage_id) = new.storage_id.filter(|_| locked.is_empty()) {
        return Err(Error::NotFound(format!("storage {storage_id}")));
    }
    if let Some(live) = syncs::live_deletion(tx, new.project_id).await? {
        return Ok(DeletionRequest::Live(live));
    }
    let live = "SELECT id, storage_id FROM syncs WHERE storage_id = ANY ($1) AND finished_at IS NULL LIMIT 1";
    if let Some(row) = tx.query_opt(live, &[&locked]).await? {
        return Ok(DeletionRequest::ImportLive { sync_id: row.get(0), storage_id: row.get(1) });
    }
    let sync_id = syncs::insert_deletion(tx, new).await?;
    // Tasks that are made meanwhile stay, unless the project goes.
    let until = match new.deletion.removes {
        Some(Removed::Project) => None,
        Some(Removed::Storage) | None => Some(tasks::last_id(tx, new.project_id).await?.to_string()),
    };
    tx.execute(
        "WITH job AS (
             INSERT INTO jobs (sync_id, kind, deletes_tasks, range_until) VALUES ($1, 'delete', true, $2) RETURNING id
         )
         INSERT INTO outbox (job_id) SELECT id FROM job",
        &[&sync_id, &until],
    )
    .await?;
    Ok(DeletionRequest::Started(sync_id))
}

/// Deletes tasks with their annotations and predictions, and unless `keep` their ledger rows.
pub async fn delete_tasks(tx: &Transaction<'_>, ids: &[i64], keep: bool) -> Result<Counts> {
    annotations::lock_of_tasks(tx, ids).await?;
    tasks::lock_all(tx, ids).await?;
    let forgotten = if keep { 0 } else { objects::forget_tasks(tx, ids).await? };
    predictions::delete_of_tasks(tx, ids).await?;
    let deleted_annotations = annotations::delete_of_tasks(tx, ids).await?;
    let deleted_tasks = tasks::delete_all(tx, ids).await?;
    Ok(Counts { deleted_tasks, deleted_annotations, forgotten, ..Counts::default() })
}

/// Deletes the tasks of a range as [`delete_tasks`] does. Unless `keep`, also the other tasks of the same objects.
pub async fn delete_range(tx: &Transaction<'_>, range: &TaskRange, keep: bool) -> Result<Counts> {
    let ids = tasks::ids_of_range(tx, range, !keep).await?;
    delete_tasks(tx, &ids, keep).await
}

/// Deletes ledger rows of a storage in `(after, until]` that have no task.
pub async fn forget_range(
    tx: &Transaction<'_>,
    storage_id: i64,
    after: &LedgerPlace,
    until: &LedgerPlace,
) -> Result<Counts> {
    let forgotten = objects::forget_without_task(tx, storage_id, after, until).await?;
    Ok(Counts { forgotten, ..Counts::default() })
}

/// Storages that a deletion removes.
async fn removed(client: &impl GenericClient, new: &NewDeletion) -> Result<Vec<i64>> {
    match new.deletion.removes {
        Some(Removed::Project) => storages::of_project(client, new.project_id).await,
        Some(Removed::Storage) => storages::imports_of(client, new.project_id, new.storage_id).await,
        None => Ok(Vec::new()),
    }
}

/// Whether the storages that a deletion removes still have rows in large tables.
pub async fn has_rows_left(client: &impl GenericClient, new: &NewDeletion) -> Result<bool> {
    let storages = removed(client, new).await?;
    // The order is that of an index of each table, so that none is read as a whole, whatever the statistics say.
    let text = "SELECT EXISTS (
        SELECT FROM unnest($1::bigint[]) s (id)
         WHERE EXISTS (SELECT FROM (SELECT key FROM objects WHERE storage_id = s.id ORDER BY key LIMIT 1) o)
            OR EXISTS (SELECT FROM (SELECT unit FROM exports WHERE storage_id = s.id ORDER BY unit, unit_id LIMIT 1) e)
            OR EXISTS (SELECT FROM (SELECT key FROM quarantine WHERE storage_id = s.id ORDER BY key LIMIT 1) q))";
    Ok(client.query_one(text, &[&storages]).await?.get(0))
}

/// Deletes at most `limit` rows of each large table of the storages that a deletion removes.
pub async fn delete_rows_left(tx: &Transaction<'_>, new: &NewDeletion, limit: i64) -> Result<Counts> {
    let storages = removed(tx, new).await?;
    exports::delete_some(tx, &storages, limit).await?;
    quarantine::delete_some(tx, &storages, limit).await?;
    let forgotten = objects::delete_some(tx, &storages, limit).await?;
    Ok(Counts { forgotten, ..Counts::default() })
}

/// Deletes a project that has neither tasks nor storages. Returns false, and changes nothing, if it has.
pub async fn delete_empty_project(tx: &Transaction<'_>, id: i64) -> Result<bool> {
    projects::lock(tx, id).await?;
    let text = "SELECT EXISTS (SELECT FROM tasks WHERE project_id = $1) OR EXISTS (SELECT FROM storages WHERE project_id = $1)";
    if tx.query_one(text, &[&id]).await?.get(0) {
        return Ok(false);
    }
    projects::delete(tx, id).await?;
    Ok(true)
}

/// Ends a deletion: removes what it removes after the tasks, or has the objects of deleted annotations deleted where a
/// storage of the project may do so.
///
/// The caller holds the job of the deletion and then locks storages. No transaction that holds a storage waits for that
/// job, so this order is safe.
pub async fn end_deletion(tx: &Transaction<'_>, new: &NewDeletion) -> Result<()> {
    let is_of_project = new.deletion.removes == Some(Removed::Project);
    if is_of_project {
        projects::lock(tx, new.project_id).await?;
    } else if !new.deletion.keep {
        for storage in storages::imports_of(tx, new.project_id, new.storage_id).await? {
            storages::clear_status(tx, storage).await?;
        }
    }
    for storage in removed(tx, new).await? {
        remove_storage(tx, storage, new.project_id).await?;
    }
    if is_of_project {
        return projects::delete(tx, new.project_id).await;
    }
    for storage in storages::deleting(tx, new.project_id).await? {
        if exports::is_used(tx, storage).await? {
            add_delete_job(tx, storage, None).await?;
        }
    }
    Ok(())
}
