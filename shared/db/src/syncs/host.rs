//! What a sync keeps of a storage in the host's own tables.

use longshore_model::StorageSettings;

use crate::{Error, RawJson, Result, Transaction};

/// Keeps the settings without secrets, the project, and the user of the host who requested the sync. Effects on the host
/// follow an import.
pub(crate) async fn keep_host_values(
    tx: &Transaction<'_>,
    id: i64,
    settings: &StorageSettings,
    project_id: i64,
    user_id: Option<i64>,
) -> Result<()> {
    let settings = serde_json::to_string(settings).map_err(|error| Error::unreadable("syncs.settings", error))?;
    tx.execute(
        "UPDATE syncs y SET settings = $2, project_id = $3, host_user_id = $4, effects_due = s.direction = 'import'
           FROM storages s WHERE y.id = $1 AND s.id = y.storage_id",
        &[&id, &RawJson(settings), &project_id, &user_id],
    )
    .await?;
    Ok(())
}
