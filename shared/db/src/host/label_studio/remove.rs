//! Removes Longshore from the database of a Label Studio.

use jiff::Timestamp;
use longshore_model::Direction;
use longshore_model::StorageKind;
use serde_json::json;

use super::tables::StorageTables;
use crate::host::host_time;
use crate::row::word;
use crate::{Client, Error, RawJson, Result};

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Storages whose status a sync of Longshore held. Label Studio can sync them now.
    pub released: usize,
}

/// The programs that are connected to this database, such as `longshore-worker`.
pub async fn running(client: &Client) -> Result<Vec<String>> {
    // The connections of a program have names of one beginning. Not those of tools, such as this one.
    let text = "SELECT DISTINCT substring(application_name FROM '^longshore-(?:scheduler|worker)')
                  FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name ~ '^longshore-(scheduler|worker)'
                 ORDER BY 1";
    Ok(client.query(text, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Drops the schema, and releases the storages that live syncs hold, in one transaction.
///
/// # Errors
/// The role owns neither the schema nor may it change Label Studio's storages. [`Error::NotFound`] without a schema.
pub async fn remove(client: &mut Client) -> Result<Removed> {
    let tx = client.transaction().await?;
    let exists = tx.query_one("SELECT to_regclass('longshore.storages') IS NOT NULL", &[]).await?;
    if !exists.get::<_, bool>(0) {
        return Err(Error::NotFound("schema longshore".to_owned()));
    }
    // Locked first, so that no sync starts between the two steps.
    tx.batch_execute("LOCK TABLE longshore.storages, longshore.syncs IN ACCESS EXCLUSIVE MODE").await?;
    let held = "SELECT DISTINCT s.kind, s.direction, s.host_id FROM longshore.storages s
                  JOIN longshore.syncs y ON y.storage_id = s.id
                 WHERE s.host_id IS NOT NULL AND (y.finished_at IS NULL OR y.reported_at IS NULL)";
    let mut released = 0;
    for row in tx.query(held, &[]).await? {
        let (kind, direction): (StorageKind, Direction) = (word(&row, "kind")?, word(&row, "direction")?);
        let Some(tables) = StorageTables::of(kind, direction) else { continue };
        let text = format!(
            "UPDATE public.{} SET status = 'failed', traceback = $2, meta = coalesce(meta, '{{}}') || $3
              WHERE {} = $1::bigint AND status IN ('queued', 'in_progress')",
            tables.storages, tables.id
        );
        let meta = RawJson(json!({"time_failure": host_time(Timestamp::now())}).to_string());
        let reason = "Longshore was removed while it synced this storage. Sync it again.";
        let host_id: i64 = row.get("host_id");
        released += usize::try_from(tx.execute(&text, &[&host_id, &reason, &meta]).await?).unwrap_or_default();
    }
    tx.batch_execute("DROP SCHEMA longshore CASCADE").await?;
    tx.commit().await?;
    Ok(Removed { released })
}
