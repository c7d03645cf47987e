//! The `audit` table: who changed what, written in the transaction of the change.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::GenericClient;
use serde_json::Value;

use crate::Result;

/// One change.
#[derive(Debug, Clone, Default)]
pub struct Entry<'a> {
    /// The name of the token that was used. `None` for a change from the command line of the scheduler.
    pub token: Option<&'a str>,
    /// What was done, such as `storage.create`.
    pub action: &'static str,
    /// The project that was changed, or that the storage belongs to. `None` for what belongs to no project.
    pub project_id: Option<i64>,
    /// The storage that was changed or synced. `None` for other changes.
    pub storage_id: Option<i64>,
    /// The sync that was started or changed. `None` for other changes.
    pub sync_id: Option<i64>,
    /// What else a reader wants to know; never a secret. Null is stored as an empty object.
    pub detail: Value,
}

/// Writes an entry.
pub async fn write(client: &impl GenericClient, entry: &Entry<'_>) -> Result<()> {
    let detail = if entry.detail.is_null() { Value::Object(serde_json::Map::new()) } else { entry.detail.clone() };
    let statement = client
        .prepare_cached(
            "INSERT INTO audit (token, action, project_id, storage_id, sync_id, detail)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .await?;
    let Entry { token, action, project_id, storage_id, sync_id, .. } = entry;
    client.execute(&statement, &[token, action, project_id, storage_id, sync_id, &detail]).await?;
    Ok(())
}
