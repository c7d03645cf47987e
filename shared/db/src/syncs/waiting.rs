//! The live syncs, for what the whole service waits for.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use jiff::Timestamp;
use longshore_model::Direction;

use crate::jobs::OpenJob;
use crate::row::word;
use crate::{GenericClient, Result};

/// A sync that has not ended.
#[derive(Debug, Clone)]
pub struct LiveSync {
    /// When it was enqueued, by the database clock.
    pub created_at: Timestamp,
    /// The direction of its storage.
    pub direction: Direction,
    /// The unfinished job that shows what the sync waits for.
    pub open_job: Option<OpenJob>,
}

/// At most `limit` live syncs, the oldest first.
pub async fn list_live(client: &impl GenericClient, limit: i64) -> Result<Vec<LiveSync>> {
    let statement = client
        .prepare_cached(&format!(
            "SELECT s.created_at, st.direction, {}
               FROM (SELECT id, storage_id, created_at, finished_at FROM syncs
                      WHERE finished_at IS NULL ORDER BY id LIMIT $1) s
               JOIN storages st ON st.id = s.storage_id {}",
            OpenJob::COLUMNS,
            OpenJob::JOIN
        ))
        .await?;
    let rows = client.query(&statement, &[&limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(LiveSync {
                created_at: row.get("created_at"),
                direction: word(row, "direction")?,
                open_job: OpenJob::of(row)?,
            })
        })
        .collect()
}
