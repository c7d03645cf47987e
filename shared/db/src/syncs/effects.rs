//! What follows the end of an import into a host's own tables, before the end is reported.

use jiff::Timestamp;

use super::notify;
use crate::{GenericClient, Result, Transaction};

/// Locks an ended sync whose effects are due, until the transaction ends. False if they are not due, or another scheduler
/// works on them.
pub(crate) async fn lock_effects(tx: &Transaction<'_>, id: i64) -> Result<bool> {
    let due = "SELECT id FROM syncs WHERE id = $1 AND effects_due AND finished_at IS NOT NULL
                  FOR NO KEY UPDATE SKIP LOCKED";
    Ok(tx.query_opt(due, &[&id]).await?.is_some())
}

/// Records that the effects are done, so that the end can be reported, and whether exports are to follow.
pub(crate) async fn end_effects(tx: &Transaction<'_>, id: i64, exports_due: bool) -> Result<()> {
    let end = "UPDATE syncs SET effects_due = false, exports_due = $2 WHERE id = $1";
    tx.execute(end, &[&id, &exports_due]).await?;
    notify(tx).await
}

/// Records that the exports are enqueued.
pub(crate) async fn end_exports(client: &impl GenericClient, id: i64) -> Result<()> {
    client.execute("UPDATE syncs SET exports_due = false WHERE id = $1", &[&id]).await?;
    Ok(())
}

/// Whether the sync was enqueued with this idempotency key.
pub(crate) async fn has_key(client: &impl GenericClient, id: i64, key: &str) -> Result<bool> {
    let row = client.query_opt("SELECT FROM syncs WHERE id = $1 AND idempotency_key = $2", &[&id, &key]).await?;
    Ok(row.is_some())
}

/// The last sync of a storage that has ended, but whose end is not reported yet: its ID, and when it was enqueued.
pub(crate) async fn ending(client: &impl GenericClient, storage_id: i64) -> Result<Option<(i64, Timestamp)>> {
    // The index of the reporter's work finds it.
    let unreported = "SELECT id, created_at FROM syncs WHERE id = (
                          SELECT max(id) FROM syncs
                           WHERE storage_id = $1 AND finished_at IS NOT NULL AND reported_at IS NULL)";
    Ok(client.query_opt(unreported, &[&storage_id]).await?.map(|row| (row.get(0), row.get(1))))
}
