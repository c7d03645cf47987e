//! The statements of the reporter, which shows the status of syncs to the host's users.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use super::{NO_OPTIONS, SyncRow, read, select};
use crate::{Result, Transaction};

/// At most `limit` syncs to report: live ones that were not reported for a second, and those that ended after their
/// last report and have no effects due.
///
/// Locks the rows of their storages, or of deletions themselves, until the transaction ends, so that several reporters share the work. It skips
/// storages that are locked; the next call returns them.
pub async fn lock_unreported(tx: &Transaction<'_>, limit: i64) -> Result<Vec<SyncRow>> {
    const UNSHOWN: &str = "(s.reported_at IS NULL
                 OR (s.finished_at IS NULL AND s.reported_at < now() - interval '1 second'))
            AND NOT (s.effects_due AND s.finished_at IS NOT NULL)";
    let rows = tx
        .query(
            &format!(
                "SELECT s.id FROM syncs s JOIN storages st ON st.id = s.storage_id
                  WHERE {UNSHOWN} ORDER BY s.id LIMIT $1 FOR NO KEY UPDATE OF st SKIP LOCKED"
            ),
            &[&limit],
        )
        .await?;
    // Deletions of tasks have no storage.
    let deletions = tx
        .query(
            &format!(
                "SELECT s.id FROM syncs s WHERE s.storage_id IS NULL AND {UNSHOWN} ORDER BY s.id LIMIT $1
                    FOR NO KEY UPDATE SKIP LOCKED"
            ),
            &[&limit],
        )
        .await?;
    let ids: Vec<i64> = rows
        .iter()
        .chain(&deletions)
        .map(|row| row.get(0))
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .collect();
    // A second statement, so that it sees all commits before the locks. Otherwise a sync that another reporter has just
    // reported would be reported again.
    let locked = select(NO_OPTIONS, &format!("s.id = ANY ($1) AND {UNSHOWN} ORDER BY s.id"));
    tx.query(&locked, &[&ids]).await?.iter().map(read).collect()
}

/// Marks syncs as reported. It skips a sync that ended after it was read: its end clears `reported_at` and must still
/// be reported.
pub async fn mark_reported(tx: &Transaction<'_>, shown: &[SyncRow]) -> Result<()> {
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
