//! What a handle in Longshore's tables says of a storage of Label Studio.

use longshore_model::{Capabilities, Direction, StorageKind};

use crate::row::word;
use crate::storages;
use crate::{Error, GenericClient, Result};

/// What a handle names.
pub(super) struct Handle {
    pub(super) kind: StorageKind,
    pub(super) direction: Direction,
    pub(super) host_id: i64,
    /// What its listings can do.
    pub(super) capabilities: Option<Capabilities>,
}

/// The storage of a handle.
pub(super) async fn handle(client: &impl GenericClient, storage_id: i64) -> Result<Handle> {
    let statement = client
        .prepare_cached("SELECT kind, direction, host_id, capabilities::text FROM storages WHERE id = $1")
        .await?;
    let row = client.query_opt(&statement, &[&storage_id]).await?;
    let row = row.ok_or_else(|| Error::NotFound(format!("storage {storage_id}")))?;
    let host_id: Option<i64> = row.get("host_id");
    let host_id = host_id.ok_or_else(|| Error::NotFound(format!("storage {storage_id} of Label Studio")))?;
    let capabilities = storages::read_capabilities(row.get("capabilities"));
    Ok(Handle { kind: word(&row, "kind")?, direction: word(&row, "direction")?, host_id, capabilities })
}
