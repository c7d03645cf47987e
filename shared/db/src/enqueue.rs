//! The one way a sync begins.

use deadpool_postgres::GenericClient;
use longshore_model::ExportOptions;

use crate::{Error, RawJson, Result};

/// Who asked for a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedBy {
    Api,
    Amqp,
    Retry,
    Replay,
    /// An annotation was deleted.
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

/// The sync that a request led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    pub sync_id: i64,
    /// False if the storage's live sync, or an earlier one with the same idempotency key, answers.
    pub created: bool,
}

/// Enqueues a sync in the caller's transaction: nothing is sent unless that commits.
///
/// The work is SQL function `longshore.enqueue`, which hosts reach as `longshore.enqueue_sync`.
///
/// # Errors
/// [`Error::NotFound`] without such a storage, [`Error::Conflict`] if it may not be synced.
pub async fn enqueue(
    client: &impl GenericClient,
    storage_id: i64,
    requested_by: RequestedBy,
    idempotency_key: Option<&str>,
    options: Option<&ExportOptions>,
) -> Result<Enqueued> {
    let options = options
        .map(serde_json::to_string)
        .transpose()
        .map_err(|error| Error::unreadable("syncs.options", error))?
        .map(RawJson);
    let row = client
        .query_one(
            "SELECT sync_id, created FROM longshore.enqueue($1, $2, $3, $4)",
            &[&storage_id, &requested_by.as_str(), &idempotency_key, &options],
        )
        .await
        .map_err(|error| match error.as_db_error().map(|db| (db.code().code(), db.message())) {
            Some(("LS404", _)) => Error::NotFound(format!("storage {storage_id}")),
            Some(("LS409", message)) => Error::Conflict(message.to_owned()),
            _ => Error::Postgres(error),
        })?;
    Ok(Enqueued { sync_id: row.get("sync_id"), created: row.get("created") })
}
