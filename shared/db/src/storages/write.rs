//! Writes to the `storages` table: users write the settings, the reporter writes the status of the latest sync.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use jiff::Timestamp;
use longshore_model::{Direction, StorageSettings, SyncStatus};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{COLUMNS, StorageRow, get, read};
use crate::{Error, GenericClient, RawJson, Result, SealedSecrets, Transaction};

/// The part of a storage that users write.
#[derive(Debug, Clone)]
pub struct StorageValues<'a> {
    /// ID of the project that gets the tasks, or has the annotations.
    pub project_id: i64,
    /// A name for people, at most 256 characters. `None` if there is none.
    pub title: Option<&'a str>,
    /// A description for people. `None` if there is none.
    pub description: Option<&'a str>,
    /// Everything that users set, without secrets.
    pub settings: &'a StorageSettings,
    /// Whether syncs may start.
    pub synchronizable: bool,
    /// The sealed secret fields. `None` if there are none.
    pub secrets: Option<&'a SealedSecrets>,
    /// The server and account that the secrets belong to. Only its digest is stored.
    pub server: String,
}

/// The settings as their column has them.
pub(super) fn json(settings: &StorageSettings) -> Result<RawJson<String>> {
    serde_json::to_string(settings).map(RawJson).map_err(|error| Error::unreadable("storages.settings", error))
}

/// A digest that differs for each server and account. Account names are secret fields, so they are not stored here.
fn server_digest(values: &StorageValues<'_>) -> Vec<u8> {
    digest(&values.server)
}

/// The digest of a server and account, as column `server` has it.
pub(super) fn digest(server: &str) -> Vec<u8> {
    Sha256::digest(server.as_bytes()).to_vec()
}

/// Takes the ID for a new storage. Its secrets are sealed for that ID before the row is values.
pub async fn next_id(client: &impl GenericClient) -> Result<i64> {
    Ok(client.query_one("SELECT nextval(pg_get_serial_sequence('storages', 'id'))", &[]).await?.get(0))
}

/// Adds a storage with an ID from [`next_id`].
///
/// # Errors
/// The project does not exist.
pub async fn insert(
    client: &impl GenericClient,
    id: i64,
    direction: Direction,
    values: &StorageValues<'_>,
) -> Result<StorageRow> {
    let row = client
        .query_one(
            &format!(
                "INSERT INTO storages (id, project_id, kind, direction, title, description, settings, synchronizable,
                                       secrets, secrets_key_id, server)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING {COLUMNS}"
            ),
            &[
                &id,
                &values.project_id,
                &values.settings.kind().as_str(),
                &direction.as_str(),
                &values.title,
                &values.description,
                &json(values.settings)?,
                &values.synchronizable,
                &values.secrets.map(|sealed| &sealed.bytes),
                &values.secrets.map(|sealed| &sealed.key_id),
                &server_digest(values),
            ],
        )
        .await?;
    read(&row)
}

/// Replaces everything that users write, if it is still the version that was read. The status from the reporter stays.
///
/// # Errors
/// [`Error::Conflict`] if users wrote another version since, [`Error::NotFound`] without such a storage.
pub async fn update(
    client: &impl GenericClient,
    id: i64,
    version: Timestamp,
    values: &StorageValues<'_>,
) -> Result<StorageRow> {
    // A microsecond is the smallest step that the column keeps: the version grows even if the clock stands still.
    let row = client
        .query_opt(
            &format!(
                "UPDATE storages
                    SET project_id = $2, title = $3, description = $4, settings = $5, synchronizable = $6,
                        secrets = $7, secrets_key_id = $8, server = $9,
                        updated_at = greatest(clock_timestamp(), updated_at + interval '1 microsecond')
                  WHERE id = $1 AND updated_at = $10 RETURNING {COLUMNS}"
            ),
            &[
                &id,
                &values.project_id,
                &values.title,
                &values.description,
                &json(values.settings)?,
                &values.synchronizable,
                &values.secrets.map(|sealed| &sealed.bytes),
                &values.secrets.map(|sealed| &sealed.key_id),
                &server_digest(values),
                &version,
            ],
        )
        .await?;
    if let Some(row) = &row {
        return read(row);
    }
    // Fails with `NotFound` if it was deleted meanwhile.
    get(client, id).await?;
    Err(Error::Conflict("Another request changed this storage in the meantime. Read it, then try again.".to_owned()))
}

/// The status of a sync that the reporter shows in its storage's row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatusReport<'a> {
    pub(crate) status: SyncStatus,
    pub(crate) sync_id: i64,
    /// Number of tasks created, or annotations exported.
    pub(crate) moved: i64,
    /// What went wrong, for users. `None` clears it.
    pub(crate) traceback: Option<&'a str>,
    /// `None` while the sync runs.
    pub(crate) finished_at: Option<Timestamp>,
    /// Merged into `meta`; null removes a key.
    pub(crate) progress: &'a Value,
    /// Merged like `progress`.
    pub(crate) times: &'a Value,
}

/// Writes the status and progress of a sync to its storage's row.
pub(crate) async fn show(tx: &Transaction<'_>, id: i64, shown: &StatusReport<'_>) -> Result<()> {
    let statement = tx
        .prepare_cached(
            "UPDATE storages
                SET status = $2, last_sync_count = $3, traceback = $4, last_sync_job = $5::bigint::text,
                    last_sync = CASE WHEN $2 IN ('completed', 'completed_with_errors') THEN $6 ELSE last_sync END,
                    meta = jsonb_strip_nulls(meta || $7 || $8)
              WHERE id = $1",
        )
        .await?;
    let StatusReport { status, sync_id, moved, traceback, finished_at, progress, times } = shown;
    tx.execute(&statement, &[&id, &status.as_str(), moved, traceback, sync_id, finished_at, progress, times]).await?;
    Ok(())
}

/// Clears what earlier syncs left in a storage's row, as if it had none.
pub(crate) async fn clear_status(tx: &Transaction<'_>, id: i64) -> Result<()> {
    tx.execute(
        "UPDATE storages
            SET status = 'initialized', last_sync = NULL, last_sync_count = NULL, last_sync_job = NULL, traceback = NULL,
                meta = '{}'
          WHERE id = $1",
        &[&id],
    )
    .await?;
    Ok(())
}

/// Deletes a storage of this project. Foreign keys delete its syncs, jobs and outbox rows, too. Returns false if the
/// project has no such storage.
pub(crate) async fn delete(tx: &Transaction<'_>, id: i64, project_id: i64) -> Result<bool> {
    Ok(tx.execute("DELETE FROM storages WHERE id = $1 AND project_id = $2", &[&id, &project_id]).await? > 0)
}
