//! The sealed secrets of storages. No row that users see holds them.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use tokio_postgres::Row;

use crate::{GenericClient, Result, Sealed};

/// The name under which a storage's secrets are sealed.
pub fn seal_name(id: i64) -> String {
    format!("storage:{id}")
}

fn sealed(row: &Row) -> Sealed {
    Sealed { key_id: row.get("secrets_key_id"), bytes: row.get("secrets") }
}

/// The sealed secrets of a storage; `None` if it has none.
pub async fn secrets(client: &impl GenericClient, id: i64) -> Result<Option<Sealed>> {
    let row = client
        .query_opt(
            "SELECT secrets, secrets_key_id FROM storages
              WHERE id = $1 AND secrets IS NOT NULL AND secrets_key_id IS NOT NULL",
            &[&id],
        )
        .await?;
    Ok(row.as_ref().map(sealed))
}

/// Sealed secrets with the ids of their storages, in the order of the ids, beyond one.
pub async fn secrets_after(client: &impl GenericClient, after: i64, limit: i64) -> Result<Vec<(i64, Sealed)>> {
    let rows = client
        .query(
            "SELECT id, secrets, secrets_key_id FROM storages
              WHERE id > $1 AND secrets IS NOT NULL AND secrets_key_id IS NOT NULL ORDER BY id LIMIT $2",
            &[&after, &limit],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get("id"), sealed(row))).collect())
}

/// Writes the same secrets under another seal, unless they were changed since they were read: then it returns false.
pub async fn reseal(client: &impl GenericClient, id: i64, was: &Sealed, sealed: &Sealed) -> Result<bool> {
    let changed = client
        .execute(
            "UPDATE storages SET secrets = $4, secrets_key_id = $5
              WHERE id = $1 AND secrets = $2 AND secrets_key_id = $3",
            &[&id, &was.bytes, &was.key_id, &sealed.bytes, &sealed.key_id],
        )
        .await?;
    Ok(changed == 1)
}
