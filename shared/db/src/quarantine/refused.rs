//! The objects that a storage refused during a sync. The last job of the sync tries them again.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::{GenericClient, Result};

/// An object that the storage refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedObject {
    /// The object's key.
    pub key: String,
    /// Version of the object when it was refused. `None` if the storage has no versions.
    pub etag: Option<String>,
    /// Stored bytes of the object.
    pub size: Option<i64>,
}

/// At most `limit` objects that the storage refused during a sync, after a key, in ascending order of their keys.
///
/// Leaves out those about which a user has decided.
pub async fn refused(
    client: &impl GenericClient,
    storage_id: i64,
    sync_id: i64,
    after: &str,
    limit: i64,
) -> Result<Vec<RefusedObject>> {
    // The words are those of index `quarantine_refused`.
    let text = "SELECT key, etag, size FROM quarantine
                 WHERE storage_id = $1 AND key > $2 AND sync_id = $3 AND state = 'open'
                   AND reason IN ('denied', 'refused', 'unavailable')
                   AND left(coalesce(etag, ''), 1) <> '!'
                 ORDER BY key LIMIT $4";
    let rows = client.query(text, &[&storage_id, &after, &sync_id, &limit]).await?;
    let object = |row: &tokio_postgres::Row| RefusedObject { key: row.get(0), etag: row.get(1), size: row.get(2) };
    Ok(rows.iter().map(object).collect())
}
