//! What the listings of a storage can do, as probes found.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use longshore_model::Capabilities;

use crate::{Error, GenericClient, RawJson, Result};

/// Keeps what a probe found. Does nothing if the storage was deleted.
pub async fn set_capabilities(client: &impl GenericClient, id: i64, found: Option<Capabilities>) -> Result<()> {
    let text = found.map(|found| serde_json::to_string(&found)).transpose();
    let text = text.map_err(|error| Error::unreadable("storages.capabilities", error))?;
    client.execute("UPDATE storages SET capabilities = $2 WHERE id = $1", &[&id, &text.map(RawJson)]).await?;
    Ok(())
}

/// Reads the column. What another release wrote and this one does not know counts as not probed.
pub(crate) fn read_capabilities(text: Option<&str>) -> Option<Capabilities> {
    text.and_then(|text| serde_json::from_str(text).ok())
}
