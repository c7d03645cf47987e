//! Handles: the rows of storages that a host keeps in its own tables.
//!
//! Syncs, jobs, the ledger, exports and quarantine refer to the handle's ID. It has a copy of the settings and no
//! secrets: those are read from the host for each job.

use longshore_model::{Direction, StorageKind, StorageSettings};

use super::write::json;
use crate::{GenericClient, Result, Transaction};

/// What a handle says of its storage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handle<'a> {
    /// ID of the project in the host.
    pub(crate) project_id: i64,
    pub(crate) kind: StorageKind,
    pub(crate) direction: Direction,
    pub(crate) title: Option<&'a str>,
    pub(crate) settings: &'a StorageSettings,
    /// ID of the storage in the host, unique per kind and direction.
    pub(crate) host_id: i64,
}

/// Makes the handle of a storage, or brings it up to date. Returns its ID.
pub(crate) async fn write_handle(client: &impl GenericClient, handle: &Handle<'_>) -> Result<i64> {
    let row = client
        .query_one(
            "INSERT INTO storages (project_id, kind, direction, title, settings, host_id)
             VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (kind, direction, host_id) WHERE host_id IS NOT NULL
                 DO UPDATE SET project_id = excluded.project_id, title = excluded.title, settings = excluded.settings
             RETURNING id",
            &[
                &handle.project_id,
                &handle.kind.as_str(),
                &handle.direction.as_str(),
                &handle.title,
                &json(handle.settings)?,
                &handle.host_id,
            ],
        )
        .await?;
    Ok(row.get(0))
}

/// Locks the handle of a storage of the host until the transaction ends, and returns its ID. `None` if there is none.
pub(crate) async fn lock_handle(
    tx: &Transaction<'_>,
    kind: StorageKind,
    direction: Direction,
    host_id: i64,
) -> Result<Option<i64>> {
    let text = "SELECT id FROM storages WHERE kind = $1 AND direction = $2 AND host_id = $3 FOR NO KEY UPDATE";
    let row = tx.query_opt(text, &[&kind.as_str(), &direction.as_str(), &host_id]).await?;
    Ok(row.map(|row| row.get(0)))
}
