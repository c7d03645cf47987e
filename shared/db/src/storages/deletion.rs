//! The storages that a deletion of tasks concerns.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::{GenericClient, Result, Transaction};

fn ids(rows: &[tokio_postgres::Row]) -> Vec<i64> {
    rows.iter().map(|row| row.get(0)).collect()
}

const IMPORTS: &str = "SELECT id FROM storages
     WHERE project_id = $1 AND direction = 'import' AND ($2::bigint IS NULL OR id = $2) ORDER BY id";

/// IDs of the import storages of a project, or of one of them, in ascending order.
pub async fn imports_of(client: &impl GenericClient, project_id: i64, storage_id: Option<i64>) -> Result<Vec<i64>> {
    Ok(ids(&client.query(IMPORTS, &[&project_id, &storage_id]).await?))
}

/// As [`imports_of`]. Locks the storages until the transaction ends: none of their syncs starts meanwhile.
pub(crate) async fn lock_imports(tx: &Transaction<'_>, project_id: i64, storage_id: Option<i64>) -> Result<Vec<i64>> {
    Ok(ids(&tx.query(&format!("{IMPORTS} FOR NO KEY UPDATE"), &[&project_id, &storage_id]).await?))
}

/// IDs of all storages of a project, in ascending order.
pub async fn of_project(client: &impl GenericClient, project_id: i64) -> Result<Vec<i64>> {
    Ok(ids(&client.query("SELECT id FROM storages WHERE project_id = $1 ORDER BY id", &[&project_id]).await?))
}
