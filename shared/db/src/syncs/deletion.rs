//! Deletions of tasks: syncs without a storage.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use longshore_model::Deletion;

use crate::{Error, RawJson, Result, Transaction};

/// A deletion to enqueue.
#[derive(Debug, Clone, Copy)]
pub struct NewDeletion {
    /// The project whose tasks are deleted.
    pub project_id: i64,
    /// Only tasks of this storage; `None` means all of the project.
    pub storage_id: Option<i64>,
    /// What it takes.
    pub deletion: Deletion,
}

/// A deletion that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveDeletion {
    /// ID of its sync.
    pub id: i64,
    /// The storage whose tasks it deletes; `None` means all of the project.
    pub storage_id: Option<i64>,
    /// What it takes.
    pub deletion: Deletion,
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::unreadable("syncs.deletion", error)
}

/// Inserts the sync of a deletion, without jobs. Returns its ID.
///
/// # Errors
/// A unique violation if a deletion of the project is live.
pub async fn insert_deletion(tx: &Transaction<'_>, new: &NewDeletion) -> Result<i64> {
    let deletion = RawJson(serde_json::to_string(&new.deletion).map_err(unreadable)?);
    let insert = "INSERT INTO syncs (project_id, deletes_from, deletion, requested_by) VALUES ($1, $2, $3, 'api')
                  RETURNING id";
    Ok(tx.query_one(insert, &[&new.project_id, &new.storage_id, &deletion]).await?.get(0))
}

/// The live deletion of a project or of one of its storages; `None` if there is none.
pub async fn live_deletion(tx: &Transaction<'_>, project_id: i64) -> Result<Option<LiveDeletion>> {
    let text = "SELECT id, deletes_from, deletion::text AS deletion FROM syncs
                 WHERE project_id = $1 AND storage_id IS NULL AND finished_at IS NULL";
    let row = tx.query_opt(text, &[&project_id]).await?;
    row.map(|row| {
        Ok(LiveDeletion {
            id: row.get("id"),
            storage_id: row.get("deletes_from"),
            deletion: serde_json::from_str(row.get("deletion")).map_err(unreadable)?,
        })
    })
    .transpose()
}
