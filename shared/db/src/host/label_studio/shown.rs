//! What Label Studio shows of a storage's last sync.

use jiff::Timestamp;
use longshore_model::{Direction, StorageKind, time};
use serde_json::{Map, Value};

use super::storage;
use super::tables::StorageTables;
use crate::{Error, GenericClient, RawJson, Result};

/// The fields of a storage that a sync changes.
pub const SYNC_FIELDS: [&str; 6] = ["status", "last_sync", "last_sync_count", "last_sync_job", "traceback", "meta"];

/// A storage after its last sync.
#[derive(Debug, Clone, PartialEq)]
pub struct LastSync {
    /// [`SYNC_FIELDS`], as Label Studio's API answers them.
    pub fields: Map<String, Value>,
    /// A digest of all other columns. As long as it is the same, Label Studio's API answers the same other fields.
    pub settings: String,
}

/// The last sync of a storage. `None` if there is no such storage.
///
/// # Errors
/// Those of Postgres.
pub async fn last_sync(
    client: &impl GenericClient,
    kind: StorageKind,
    direction: Direction,
    id: i64,
) -> Result<Option<LastSync>> {
    let Some(tables) = StorageTables::of(kind, direction) else { return Ok(None) };
    let (whole, from) = storage::whole(&tables);
    let text = format!(
        "SELECT s.status, s.last_sync, s.last_sync_count::bigint AS last_sync_count, s.last_sync_job, s.traceback, s.meta,
                encode(sha256(convert_to((({whole}) - '{{{changed}}}'::text[])::text,
                                         'UTF8')), 'hex') AS settings
           FROM {from} WHERE s.{} = $1::bigint",
        tables.id,
        changed = SYNC_FIELDS.join(",")
    );
    let statement = client.prepare_cached(&text).await?;
    let Some(row) = client.query_opt(&statement, &[&id]).await? else { return Ok(None) };
    let text = |name: &str| Value::from(row.get::<_, Option<String>>(name));
    let meta: Option<RawJson<&str>> = row.get("meta");
    let meta = meta.map_or(Ok(Value::Null), |meta| serde_json::from_str(meta.0));
    let fields = [
        ("status", text("status")),
        ("last_sync", row.get::<_, Option<Timestamp>>("last_sync").map(time::text).into()),
        ("last_sync_count", row.get::<_, Option<i64>>("last_sync_count").into()),
        ("last_sync_job", text("last_sync_job")),
        ("traceback", text("traceback")),
        ("meta", meta.map_err(|error| Error::unreadable("the meta of a storage of Label Studio", error))?),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    Ok(Some(LastSync { fields, settings: row.get("settings") }))
}
