//! What a sync keeps of a storage in the host's own tables.

use jiff::Timestamp;
use longshore_model::StorageSettings;

use crate::{Error, GenericClient, RawJson, Result, Transaction};

/// A live sync of a storage in the host's own tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostLive {
    pub(crate) id: i64,
    pub(crate) created_at: Timestamp,
    /// Whether it keeps values of the host. Not before it takes the storage: SQL functions do not see the host.
    pub(crate) is_begun: bool,
}

/// The live sync of a storage. `None` if there is none.
pub(crate) async fn live_of_host(client: &impl GenericClient, storage_id: i64) -> Result<Option<HostLive>> {
    let text = "SELECT id, created_at, settings IS NOT NULL AS is_begun FROM syncs
                 WHERE storage_id = $1 AND finished_at IS NULL";
    let row = client.query_opt(text, &[&storage_id]).await?;
    Ok(row.map(|row| HostLive { id: row.get("id"), created_at: row.get("created_at"), is_begun: row.get("is_begun") }))
}

/// Whether a sync is live and does not keep values of the host yet.
pub(crate) async fn waits_for_host(client: &impl GenericClient, id: i64) -> Result<bool> {
    let text = "SELECT FROM syncs WHERE id = $1 AND finished_at IS NULL AND settings IS NULL";
    let statement = client.prepare_cached(text).await?;
    Ok(client.query_opt(&statement, &[&id]).await?.is_some())
}

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
