//! What Label Studio shows of a storage's last sync.

use jiff::Timestamp;
use longshore_model::{Direction, StorageKind, time};
use serde_json::{Map, Value};

use super::tables::StorageTables;
use crate::{Error, GenericClient, RawJson, Result};

/// The fields of a storage that a sync changes, as Label Studio's API answers them: `status`, `last_sync`,
/// `last_sync_count`, `last_sync_job`, `traceback` and `meta`. `None` if there is no such storage.
///
/// # Errors
/// Those of Postgres.
pub async fn last_sync(
    client: &impl GenericClient,
    kind: StorageKind,
    direction: Direction,
    id: i64,
) -> Result<Option<Map<String, Value>>> {
    let Some(tables) = StorageTables::of(kind, direction) else { return Ok(None) };
    let text = format!(
        "SELECT status, last_sync, last_sync_count::bigint AS last_sync_count, last_sync_job, traceback, meta
           FROM public.{} WHERE {} = $1::bigint",
        tables.storages, tables.id
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
    Ok(Some(fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()))
}
