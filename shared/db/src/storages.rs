//! The `storages` table: what users configured, and what the reporter shows of it.

use crate::GenericClient;
use chrono::{DateTime, Utc};
use longshore_model::{Direction, StorageKind, StorageSettings, SyncStatus};
use sha2::{Digest, Sha256};
use tokio_postgres::Row;

use crate::bounded::{bounded, settings_bytes};
use crate::row::word;
use crate::{Bounded, Error, RawJson, Result, Sealed, Transaction};

/// A storage as users see it: everything but its secrets.
#[derive(Debug, Clone)]
pub struct StorageRow {
    pub id: i64,
    pub project_id: i64,
    pub kind: StorageKind,
    pub direction: Direction,
    pub title: Option<String>,
    pub description: Option<String>,
    pub settings: StorageSettings,
    pub synchronizable: bool,
    pub status: SyncStatus,
    pub last_sync: Option<DateTime<Utc>>,
    pub last_sync_count: Option<i64>,
    pub last_sync_job: Option<String>,
    pub traceback: Option<String>,
    pub meta: serde_json::Value,
    pub created_at: DateTime<Utc>,
}

/// The part of a storage that users write.
#[derive(Debug, Clone)]
pub struct Written<'a> {
    pub project_id: i64,
    pub title: Option<&'a str>,
    pub description: Option<&'a str>,
    pub settings: &'a StorageSettings,
    pub synchronizable: bool,
    /// The sealed secret fields; `None` if there are none.
    pub secrets: Option<&'a Sealed>,
    /// The server and account that the secrets belong to; only a digest of it is stored.
    pub server: String,
}

/// Which storages to list; oldest first.
#[derive(Debug, Clone, Copy, Default)]
pub struct StorageFilter<'a> {
    pub direction: Option<Direction>,
    pub kind: Option<StorageKind>,
    pub project: Option<i64>,
    /// Only these projects; `None` is all.
    pub projects: Option<&'a [i64]>,
}

pub(crate) const COLUMNS: &str =
    "id, project_id, kind, direction, title, description, settings::text AS settings, synchronizable,
     status, last_sync, last_sync_count, last_sync_job, traceback, meta, created_at";

pub(crate) fn read(row: &Row) -> Result<StorageRow> {
    Ok(StorageRow {
        id: row.get("id"),
        project_id: row.get("project_id"),
        kind: word(row, "kind")?,
        direction: word(row, "direction")?,
        title: row.get("title"),
        description: row.get("description"),
        settings: serde_json::from_str(row.get("settings"))
            .map_err(|error| Error::unreadable("storages.settings", error))?,
        synchronizable: row.get("synchronizable"),
        status: word(row, "status")?,
        last_sync: row.get("last_sync"),
        last_sync_count: row.get("last_sync_count"),
        last_sync_job: row.get("last_sync_job"),
        traceback: row.get("traceback"),
        meta: row.get("meta"),
        created_at: row.get("created_at"),
    })
}

fn json(settings: &StorageSettings) -> Result<RawJson<String>> {
    serde_json::to_string(settings).map(RawJson).map_err(|error| Error::unreadable("storages.settings", error))
}

/// Tells one server and account from another without naming them: account names are secret fields.
fn server_digest(written: &Written<'_>) -> Vec<u8> {
    Sha256::digest(written.server.as_bytes()).to_vec()
}

/// The name under which a storage's secrets are sealed.
pub fn seal_name(id: i64) -> String {
    format!("storage:{id}")
}

/// Takes the id of a storage to come: its secrets are sealed for that id before the row is written.
///
/// # Errors
/// The database is away.
pub async fn next_id(client: &impl GenericClient) -> Result<i64> {
    Ok(client.query_one("SELECT nextval(pg_get_serial_sequence('storages', 'id'))", &[]).await?.get(0))
}

/// Adds a storage under an id from [`next_id`].
///
/// # Errors
/// The project is not there, or the database is away.
pub async fn insert(
    client: &impl GenericClient,
    id: i64,
    direction: Direction,
    written: &Written<'_>,
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
                &written.project_id,
                &written.settings.kind().as_str(),
                &direction.as_str(),
                &written.title,
                &written.description,
                &json(written.settings)?,
                &written.synchronizable,
                &written.secrets.map(|sealed| &sealed.bytes),
                &written.secrets.map(|sealed| &sealed.key_id),
                &server_digest(written),
            ],
        )
        .await?;
    read(&row)
}

/// Writes everything that users write; what the reporter shows stays.
///
/// # Errors
/// [`Error::NotFound`] without such a storage.
pub async fn update(client: &impl GenericClient, id: i64, written: &Written<'_>) -> Result<StorageRow> {
    let row = client
        .query_opt(
            &format!(
                "UPDATE storages
                    SET project_id = $2, title = $3, description = $4, settings = $5, synchronizable = $6,
                        secrets = $7, secrets_key_id = $8, server = $9, updated_at = now()
                  WHERE id = $1 RETURNING {COLUMNS}"
            ),
            &[
                &id,
                &written.project_id,
                &written.title,
                &written.description,
                &json(written.settings)?,
                &written.synchronizable,
                &written.secrets.map(|sealed| &sealed.bytes),
                &written.secrets.map(|sealed| &sealed.key_id),
                &server_digest(written),
            ],
        )
        .await?;
    found(row.as_ref(), id)
}

/// One storage.
///
/// # Errors
/// [`Error::NotFound`] without such a storage.
pub async fn get(client: &impl GenericClient, id: i64) -> Result<StorageRow> {
    let statement = client.prepare_cached(&format!("SELECT {COLUMNS} FROM storages WHERE id = $1")).await?;
    found(client.query_opt(&statement, &[&id]).await?.as_ref(), id)
}

fn found(row: Option<&Row>, id: i64) -> Result<StorageRow> {
    row.map(read).transpose()?.ok_or_else(|| Error::NotFound(format!("storage {id}")))
}

/// One storage, locked against changes by others until the transaction ends.
///
/// # Errors
/// [`Error::NotFound`] without such a storage.
pub async fn lock(tx: &Transaction<'_>, id: i64) -> Result<StorageRow> {
    let row = tx.query_opt(&format!("SELECT {COLUMNS} FROM storages WHERE id = $1 FOR NO KEY UPDATE"), &[&id]).await?;
    found(row.as_ref(), id)
}

/// The sealed secrets of a storage; `None` if it has none.
///
/// # Errors
/// The database is away.
pub async fn secrets(client: &impl GenericClient, id: i64) -> Result<Option<Sealed>> {
    let row = client
        .query_opt(
            "SELECT secrets, secrets_key_id FROM storages
              WHERE id = $1 AND secrets IS NOT NULL AND secrets_key_id IS NOT NULL",
            &[&id],
        )
        .await?;
    Ok(row.map(|row| Sealed { key_id: row.get("secrets_key_id"), bytes: row.get("secrets") }))
}

/// Sealed secrets with the ids of their storages, in the order of the ids, beyond one.
///
/// # Errors
/// The database is away.
pub async fn secrets_after(client: &impl GenericClient, after: i64, limit: i64) -> Result<Vec<(i64, Sealed)>> {
    let rows = client
        .query(
            "SELECT id, secrets, secrets_key_id FROM storages
              WHERE id > $1 AND secrets IS NOT NULL AND secrets_key_id IS NOT NULL ORDER BY id LIMIT $2",
            &[&after, &limit],
        )
        .await?;
    let sealed = |row: &Row| Sealed { key_id: row.get("secrets_key_id"), bytes: row.get("secrets") };
    Ok(rows.iter().map(|row| (row.get("id"), sealed(row))).collect())
}

/// Writes the same secrets sealed anew, unless they were changed since they were read.
///
/// # Errors
/// The database is away.
pub async fn reseal(client: &impl GenericClient, id: i64, was: &Sealed, sealed: &Sealed) -> Result<bool> {
    let changed = client
        .execute(
            "UPDATE storages SET secrets = $4, secrets_key_id = $5
              WHERE id = $1 AND secrets = $2 AND secrets_key_id = $3",
            &[&id, &was.bytes, &was.key_id, &sealed.bytes, &sealed.key_id],
        )
        .await?;
    Ok(changed == 1)
}

/// Storages with a larger ID than `after`, oldest first, as far as they fit into `most` bytes.
///
/// # Errors
/// The database is unavailable.
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

/// The export storages of a project that may delete objects and are switched on.
///
/// # Errors
/// The database is unavailable.
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

/// Removes a storage with its syncs, jobs and outbox rows, by their foreign keys. Returns false if there is none.
pub(crate) async fn delete(tx: &Transaction<'_>, id: i64) -> Result<bool> {
    Ok(tx.execute("DELETE FROM storages WHERE id = $1", &[&id]).await? > 0)
}
