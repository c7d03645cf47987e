//! What a deletion of tasks takes, before it begins.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use longshore_model::Removed;
use serde::Serialize;

use crate::syncs::NewDeletion;
use crate::{Result, Transaction};

/// What a deletion of tasks takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(description = "What a deletion takes.")]
pub struct Takes {
    /// Tasks.
    pub tasks: i64,
    /// Annotations of these tasks.
    pub annotations: i64,
    /// Predictions of these tasks.
    pub predictions: i64,
    /// Ledger entries: the next sync imports these objects again. 0 if the ledger keeps them.
    pub objects: i64,
    /// Exported objects of these tasks and annotations.
    pub exports: i64,
    /// Storages that are deleted too.
    pub storages: i64,
}

/// Counts what a deletion takes. Takes long in a large project: it reads all of its tasks.
pub async fn takes(tx: &Transaction<'_>, new: &NewDeletion) -> Result<Takes> {
    tx.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let (project, storage) = (new.project_id, new.storage_id);
    let tasks = "SELECT count(*), coalesce(sum(total_annotations + cancelled_annotations), 0)::bigint,
                        coalesce(sum(total_predictions), 0)::bigint
                   FROM tasks WHERE project_id = $1 AND ($2::bigint IS NULL OR storage_id = $2)";
    let tasks = tx.query_one(tasks, &[&project, &storage]).await?;
    let storages = match new.deletion.removes {
        Some(Removed::Project) => "SELECT count(*) FROM storages WHERE project_id = $1 AND $2::bigint IS NULL",
        Some(Removed::Storage) => "SELECT count(*) FROM storages WHERE project_id = $1 AND id = $2",
        None => "SELECT 0::bigint WHERE $1::bigint IS NOT NULL OR $2::bigint IS NULL",
    };
    let storages = tx.query_one(storages, &[&project, &storage]).await?;
    let objects = "SELECT count(*) FROM objects WHERE storage_id = ANY (ARRAY(
                       SELECT id FROM storages
                        WHERE project_id = $1 AND direction = 'import' AND ($2::bigint IS NULL OR id = $2)))";
    let objects = if new.deletion.keep { 0 } else { tx.query_one(objects, &[&project, &storage]).await?.get(0) };
    let exports = "SELECT count(*) FROM exports e JOIN storages s ON s.id = e.storage_id
                    WHERE s.project_id = $1 AND e.state = 'exported'
                      AND ($2::bigint IS NULL OR EXISTS (
                          SELECT FROM tasks t
                           WHERE t.storage_id = $2
                             AND t.id = CASE e.unit WHEN 'task' THEN e.unit_id
                                        ELSE (SELECT a.task_id FROM annotations a WHERE a.id = e.unit_id) END))";
    let exports = tx.query_one(exports, &[&project, &storage]).await?;
    Ok(Takes {
        tasks: tasks.get(0),
        annotations: tasks.get(1),
        predictions: tasks.get(2),
        objects,
        exports: exports.get(0),
        storages: storages.get(0),
    })
}
