//! The sealed secrets of storages. [`StorageRow`](super::StorageRow), which users see, does not contain them.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use tokio_postgres::Row;

use crate::{GenericClient, Result, SealedSecrets};

/// The name of a storage's row for [`Sealer`](crate::Sealer): secrets only open for the row they were sealed for.
pub fn seal_name(id: i64) -> String {
    format!("storage:{id}")
}

fn sealed(row: &Row) -> SealedSecrets {
    SealedSecrets { key_id: row.get("secrets_key_id"), bytes: row.get("secrets") }
}

/// The sealed secrets of a storage; `None` if it has none.
pub async fn secrets(client: &impl GenericClient, id: i64) -> Result<Option<SealedSecrets>> {
    let row = client
        .query_opt(
            "SELECT secrets, secrets_key_id FROM storages
              WHERE id = $1 AND secrets IS NOT NULL AND secrets_key_id IS NOT NULL",
            &[&id],
        )
        .await?;
    Ok(row.as_ref().map(sealed))
}

/// Sealed secrets with the IDs of their storages, in the order of the IDs, for IDs larger than `after`.
pub async fn secrets_after(client: &impl GenericClient, after: i64, limit: i64) -> Result<Vec<(i64, SealedSecrets)>> {
    let rows = client
        .query(
            "SELECT id, secrets, secrets_key_id FROM storages
              WHERE id > $1 AND secrets IS NOT NULL AND secrets_key_id IS NOT NULL ORDER BY id LIMIT $2",
            &[&after, &limit],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get("id"), sealed(row))).collect())
}

/// Writes the same secrets sealed with another key. Returns false, and writes nothing, if they have changed since they
/// were read.
pub async fn reseal(client: &impl GenericClient, id: i64, was: &SealedSecrets, sealed: &SealedSecrets) -> Result<bool> {
    let changed = client
        .execute(
            "UPDATE storages SET secrets = $4, secrets_key_id = $5
              WHERE id = $1 AND secrets = $2 AND secrets_key_id = $3",
            &[&id, &was.bytes, &was.key_id, &sealed.bytes, &sealed.key_id],
        )
        .await?;
    Ok(changed == 1)
}
