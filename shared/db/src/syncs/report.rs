//! What the reporter reads and notes.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use super::{SyncRow, read, select};
use crate::{Result, Transaction};

/// Syncs whose status is to be shown: live ones not shown for a second, and those that have ended since.
///
/// Their storages' rows stay locked until the transaction ends, so that several reporters share the
/// work; a storage that is busy is left for the next time.
pub async fn to_report(tx: &Transaction<'_>, limit: i64) -> Result<Vec<SyncRow>> {
    const UNSHOWN: &str = "(s.reported_at IS NULL
                 OR (s.finished_at IS NULL AND s.reported_at < now() - interval '1 second'))";
    let rows = tx
        .query(
            &format!(
                "SELECT s.id FROM syncs s JOIN storages st ON st.id = s.storage_id
                  WHERE {UNSHOWN} ORDER BY s.id LIMIT $1 FOR NO KEY UPDATE OF st SKIP LOCKED"
            ),
            &[&limit],
        )
        .await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    // In another statement: what is read is not older than the locks, and what another reporter
    // has shown just before they were taken is not shown twice.
    tx.query(&select(&format!("s.id = ANY ($1) AND {UNSHOWN} ORDER BY s.id")), &[&ids])
        .await?
        .iter()
        .map(read)
        .collect()
}

/// Notes that syncs were shown, those that are still as they were read: the end of a sync clears
/// `reported_at`, and an end that came after the reading is to be shown yet.
pub async fn reported(tx: &Transaction<'_>, shown: &[SyncRow]) -> Result<()> {
    let ids = |ended: bool| -> Vec<i64> {
        shown.iter().filter(|sync| sync.finished_at.is_some() == ended).map(|sync| sync.id).collect()
    };
    tx.execute(
        "UPDATE syncs SET reported_at = now()
          WHERE (id = ANY ($1) AND finished_at IS NULL) OR (id = ANY ($2) AND finished_at IS NOT NULL)",
        &[&ids(false), &ids(true)],
    )
    .await?;
    Ok(())
}
