//! Enqueues syncs. Every sync starts here, or in SQL function `longshore.enqueue_sync`.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use longshore_model::{Direction, ExportOptions, StorageKind};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::storages::{self, StorageRow};
use crate::{Error, GenericClient, RawJson, Result};

/// The source of a request for a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedBy {
    /// A caller of the API.
    Api,
    /// A message to `longshore.requests`.
    Amqp,
    /// A caller of the API who repeats an ended sync.
    Retry,
    /// A caller of the API who replays quarantined objects.
    Replay,
    /// The deletion of an annotation.
    Annotation,
}

impl RequestedBy {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Amqp => "amqp",
            Self::Retry => "retry",
            Self::Replay => "replay",
            Self::Annotation => "annotation",
        }
    }
}

/// The sync that answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnqueuedSync {
    /// ID of the sync.
    pub sync_id: i64,
    /// Whether the request created it. False if it is the storage's live sync, or an earlier sync with the same
    /// idempotency key.
    pub created: bool,
}

/// Enqueues a sync in the caller's transaction. Its messages are published only if that commits.
///
/// SQL function `longshore.enqueue` does the work; hosts can call it as `longshore.enqueue_sync`.
///
/// # Errors
/// [`Error::NotFound`] if the storage does not exist, [`Error::Conflict`] if it may not start syncs,
/// [`Error::DeletionLive`] if its tasks are being deleted.
pub async fn enqueue(
    client: &impl GenericClient,
    storage_id: i64,
    requested_by: RequestedBy,
    idempotency_key: Option<&str>,
    options: Option<&ExportOptions>,
) -> Result<EnqueuedSync> {
    let statement = client.prepare_cached("SELECT sync_id, created FROM longshore.enqueue($1, $2, $3, $4)").await?;
    let options = json(options)?;
    let values: [&(dyn ToSql + Sync); 4] = [&storage_id, &requested_by.as_str(), &idempotency_key, &options];
    let row = query(client, &statement, &values, storage_id).await?;
    row.as_ref().map(EnqueuedSync::of).ok_or_else(|| not_found(storage_id))
}

/// An API caller's request for a sync of a storage.
#[derive(Debug, Clone, Copy)]
pub struct SyncRequest<'a> {
    /// ID of the storage to sync.
    pub storage_id: i64,
    /// The kind in the request. A storage of another kind is not found.
    pub kind: StorageKind,
    /// The direction in the request. A storage of the other direction is not found.
    pub direction: Direction,
    /// The projects that the caller may access. A storage of another project is not found. `None` means all.
    pub projects: Option<&'a [i64]>,
    /// ID of the caller's token, for the audit.
    pub token_id: i64,
    /// The name of the caller's token, for the audit.
    pub token: &'a str,
    /// The caller's address, for the audit. `None` if unknown.
    pub address: Option<&'a str>,
    /// A key by which a repeated request finds the sync of the first one. `None` if the caller gave none.
    pub idempotency_key: Option<&'a str>,
    /// What to export. `None` means the defaults; always `None` for import.
    pub options: Option<&'a ExportOptions>,
}

/// Enqueues a sync for a caller of the API, and writes an audit entry if it is new. One statement, so it is one
/// transaction and one round trip. Returns the sync and the storage's row after it.
///
/// # Errors
/// As [`enqueue()`].
pub async fn enqueue_request(
    client: &impl GenericClient,
    request: &SyncRequest<'_>,
) -> Result<(EnqueuedSync, StorageRow)> {
    let text = format!(
        "WITH asked AS (
             SELECT e.sync_id, e.created, e.storage
               FROM storages s CROSS JOIN LATERAL longshore.enqueue(s.id, 'api', $5, $6) e
              WHERE s.id = $1 AND s.kind = $2 AND s.direction = $3
                AND ($4::bigint[] IS NULL OR s.project_id = ANY ($4))
         ), noted AS (
             INSERT INTO audit (token, token_id, address, action, project_id, storage_id, sync_id)
             SELECT $7, $8::bigint, $9, 'sync.start', (storage).project_id, (storage).id, sync_id FROM asked WHERE created
         )
         SELECT asked.sync_id, asked.created, shown.*
           FROM asked CROSS JOIN LATERAL (SELECT {} FROM (SELECT (asked.storage).*) stored) shown",
        storages::COLUMNS
    );
    let statement = client.prepare_cached(&text).await?;
    let options = json(request.options)?;
    let values: [&(dyn ToSql + Sync); 9] = [
        &request.storage_id,
        &request.kind.as_str(),
        &request.direction.as_str(),
        &request.projects,
        &request.idempotency_key,
        &options,
        &request.token,
        &request.token_id,
        &request.address,
    ];
    let row = query(client, &statement, &values, request.storage_id).await?;
    let row = row.ok_or_else(|| not_found(request.storage_id))?;
    Ok((EnqueuedSync::of(&row), storages::read(&row)?))
}

impl EnqueuedSync {
    fn of(row: &Row) -> Self {
        Self { sync_id: row.get("sync_id"), created: row.get("created") }
    }
}

fn json(options: Option<&ExportOptions>) -> Result<Option<RawJson<String>>> {
    let text = options.map(serde_json::to_string).transpose();
    Ok(text.map_err(|error| Error::unreadable("syncs.options", error))?.map(RawJson))
}

async fn query(
    client: &impl GenericClient,
    statement: &Statement,
    values: &[&(dyn ToSql + Sync)],
    storage_id: i64,
) -> Result<Option<Row>> {
    client.query_opt(statement, values).await.map_err(|error| {
        match error.as_db_error().map(|db| (db.code().code(), db.hint(), db.message())) {
            Some(("LS404", ..)) => not_found(storage_id),
            Some(("LS409", Some("deletion_live"), message)) => Error::DeletionLive(message.to_owned()),
            Some(("LS409", _, message)) => Error::Conflict(message.to_owned()),
            _ => Error::Postgres(error),
        }
    })
}

fn not_found(storage_id: i64) -> Error {
    Error::NotFound(format!("storage {storage_id}"))
}
