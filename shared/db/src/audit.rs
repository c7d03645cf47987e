//! The `audit` table: who changed what. Callers write an entry in the transaction of the change.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use serde_json::Value;

use crate::{GenericClient, Result};

/// The audit entry of one change.
#[derive(Debug, Clone, Default)]
pub struct Entry<'a> {
    /// The name of the token that was used. `None` for a change from the scheduler's command line.
    pub token: Option<&'a str>,
    /// What was done, such as `storage.create`.
    pub action: &'static str,
    /// ID of the changed project, or of the changed storage's project. `None` for a change outside of projects.
    pub project_id: Option<i64>,
    /// ID of the storage that was changed or synced. `None` for other changes.
    pub storage_id: Option<i64>,
    /// ID of the sync that was started or changed. `None` for other changes.
    pub sync_id: Option<i64>,
    /// Further details as JSON, never a secret. Null is stored as an empty object.
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
