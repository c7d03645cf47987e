//! The `storages` table: what users configured, and the status that the reporter shows there.
//!
//! A trigger copies the settings to the live sync when they change, so a sync keeps the settings of its start. Secrets
//! are always read fresh, so new credentials repair a running sync. If they belong to another server or account, or
//! there are none and the bucket changed, the sync fails with `storage_moved`.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

mod capabilities;
mod deletion;
mod handle;
mod secrets;
mod twins;
mod write;

use jiff::Timestamp;
use longshore_model::{Capabilities, Direction, StorageKind, StorageSettings, SyncStatus};
use tokio_postgres::Row;

use crate::bounded::{bounded, settings_bytes};
use crate::row::word;
use crate::{Bounded, Error, GenericClient, Result};

pub(crate) use capabilities::read_capabilities;
pub use capabilities::set_capabilities;
pub(crate) use deletion::lock_imports;
pub use deletion::{imports_of, of_project};
pub(crate) use handle::{Handle, lock_handle, write_handle};
pub use secrets::{reseal, seal_name, secrets, secrets_after};
pub use twins::{Twin, twins};
pub(crate) use write::{StatusReport, clear_status, delete, show};
pub use write::{StorageValues, insert, next_id, update};

/// A storage as users see it: everything but its secrets.
#[derive(Debug, Clone)]
pub struct StorageRow {
    /// ID of the storage, from `next_id`.
    pub id: i64,
    /// ID of the storage in the host's tables, unique per kind and direction. `None` with the native host.
    pub host_id: Option<i64>,
    /// ID of the project that gets the tasks, or has the annotations. Written by users.
    pub project_id: i64,
    /// Storage kind. Never changes.
    pub kind: StorageKind,
    /// Import or export. Never changes.
    pub direction: Direction,
    /// A name for people, at most 256 characters. `None` if the user gave none.
    pub title: Option<String>,
    /// A description for people. `None` if the user gave none.
    pub description: Option<String>,
    /// Everything that users set, without secrets.
    pub settings: StorageSettings,
    /// What its listings can do. `None` before the first probe. Written when users save it, and by workers.
    pub capabilities: Option<Capabilities>,
    /// Whether syncs may start. Written by users.
    pub synchronizable: bool,
    /// Status of the latest sync, or `initialized`. Written by `enqueue` and the reporter.
    pub status: SyncStatus,
    /// When the latest sync that completed (with errors or without) ended. `None` before the first. Written by the
    /// reporter.
    pub last_sync: Option<Timestamp>,
    /// Number of tasks created, or annotations exported, by the latest sync. `None` before the first. Written by the
    /// reporter.
    pub last_sync_count: Option<i64>,
    /// ID of the latest sync as text, as Label Studio shows it. `None` before the first. Written by `enqueue` and the
    /// reporter.
    pub last_sync_job: Option<String>,
    /// What went wrong in the latest sync, for users. `None` if nothing did. Written by the reporter.
    pub traceback: Option<String>,
    /// Times and counts of the latest sync under Label Studio's names. Written by `enqueue` and the reporter.
    pub meta: serde_json::Value,
    /// When it was created, by the database clock.
    pub created_at: Timestamp,
    /// When users last wrote it, by the database clock. Grows with each `update`, so it is the version of what users
    /// write.
    pub updated_at: Timestamp,
}

/// Which storages to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct StorageFilter<'a> {
    /// Only this direction; `None` means both.
    pub direction: Option<Direction>,
    /// Only this kind; `None` means any.
    pub kind: Option<StorageKind>,
    /// Only this project; `None` means any.
    pub project: Option<i64>,
    /// Only these projects; `None` means all.
    pub projects: Option<&'a [i64]>,
}

/// The most targets of a project that an import looks at. Projects have one or two.
const MOST_TARGETS: i64 = 100;

/// ID and settings of the storages to which a project exports.
pub async fn exporting(client: &impl GenericClient, project_id: i64) -> Result<Vec<(i64, StorageSettings)>> {
    let text = "SELECT id, settings::text AS settings FROM storages
                 WHERE project_id = $1 AND direction = 'export' ORDER BY id LIMIT $2";
    let rows = client.query(&client.prepare_cached(text).await?, &[&project_id, &MOST_TARGETS]).await?;
    let read = |row: &Row| -> Result<(i64, StorageSettings)> {
        let settings = serde_json::from_str(row.get("settings"));
        Ok((row.get("id"), settings.map_err(|error| Error::unreadable("storages.settings", error))?))
    };
    rows.iter().map(read).collect()
}

pub(crate) const COLUMNS: &str =
    "id, host_id, project_id, kind, direction, title, description, settings::text AS settings, capabilities::text AS capabilities, synchronizable,
     status, last_sync, last_sync_count, last_sync_job, traceback, meta, created_at, updated_at";

pub(crate) fn read(row: &Row) -> Result<StorageRow> {
    Ok(StorageRow {
        id: row.get("id"),
        host_id: row.get("host_id"),
        project_id: row.get("project_id"),
        kind: word(row, "kind")?,
        direction: word(row, "direction")?,
        title: row.get("title"),
        description: row.get("description"),
        settings: serde_json::from_str(row.get("settings"))
            .map_err(|error| Error::unreadable("storages.settings", error))?,
        capabilities: read_capabilities(row.get("capabilities")),
        synchronizable: row.get("synchronizable"),
        status: word(row, "status")?,
        last_sync: row.get("last_sync"),
        last_sync_count: row.get("last_sync_count"),
        last_sync_job: row.get("last_sync_job"),
        traceback: row.get("traceback"),
        meta: row.get("meta"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}

/// One storage.
///
/// # Errors
/// [`Error::NotFound`] if the storage does not exist.
pub async fn get(client: &impl GenericClient, id: i64) -> Result<StorageRow> {
    let statement = client.prepare_cached(&format!("SELECT {COLUMNS} FROM storages WHERE id = $1")).await?;
    found(client.query_opt(&statement, &[&id]).await?.as_ref(), id)
}

fn found(row: Option<&Row>, id: i64) -> Result<StorageRow> {
    row.map(read).transpose()?.ok_or_else(|| Error::NotFound(format!("storage {id}")))
}

/// Storages with a larger ID than `after`, oldest first, as far as they fit into `most` bytes.
pub async fn list(
    client: &impl GenericClient,
    filter: &StorageFilter<'_>,
    after: i64,
    most: i64,
) -> Result<Bounded<StorageRow>> {
    let page = "SELECT * FROM storages
                 WHERE ($1::text IS NULL OR direction = $1) AND ($2::text IS NULL OR kind = $2)
                   AND ($3::bigint IS NULL OR project_id = $3) AND ($4::bigint[] IS NULL OR project_id = ANY ($4))
                   AND id > $5";
    let bytes = format!(
        "1024 + {} + {} + coalesce(octet_length(title), 0) + coalesce(octet_length(description), 0)
         + coalesce(octet_length(traceback), 0)",
        settings_bytes("settings"),
        settings_bytes("meta")
    );
    let rows = client
        .query(
            &bounded(page, &bytes, "id", COLUMNS, "$6"),
            &[
                &filter.direction.map(Direction::as_str),
                &filter.kind.map(StorageKind::as_str),
                &filter.project,
                &filter.projects,
                &after,
                &most,
            ],
        )
        .await?;
    Bounded::read(&rows, read)
}

/// IDs of the export storages of a project that may delete objects and may start syncs.
pub async fn deleting(client: &impl GenericClient, project: i64) -> Result<Vec<i64>> {
    let rows = client
        .query(
            "SELECT id FROM storages
              WHERE project_id = $1 AND direction = 'export' AND synchronizable
                AND settings ->> 'can_delete_objects' = 'true' ORDER BY id",
            &[&project],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
