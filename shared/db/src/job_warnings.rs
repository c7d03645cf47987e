//! The `job_warnings` table: what the jobs of an import left out of the tasks they made.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use longshore_model::ItemWarning;

use crate::row::word;
use crate::{GenericClient, Result, Transaction};

/// The items with one warning, of a page, a job or a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarnedItems {
    /// What was left out.
    pub warning: ItemWarning,
    /// How many items have it.
    pub items: i64,
    /// Key of the object with one of them.
    pub key: String,
    /// Its number in the object, from 0.
    pub row_index: i32,
}

/// Adds the warnings of a page to its job. Earlier examples stay.
pub async fn add(tx: &Transaction<'_>, job_id: i64, warned: &[WarnedItems]) -> Result<()> {
    for WarnedItems { warning, items, key, row_index } in warned {
        let statement = tx
            .prepare_cached(
                "INSERT INTO job_warnings AS w (job_id, code, items, key, row_index) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (job_id, code) DO UPDATE SET items = w.items + excluded.items",
            )
            .await?;
        tx.execute(&statement, &[&job_id, &warning.as_str(), items, key, row_index]).await?;
    }
    Ok(())
}

/// The warnings of a sync, in the order of their codes. The example is that of its first job with the warning.
pub async fn of_sync(client: &impl GenericClient, sync_id: i64) -> Result<Vec<WarnedItems>> {
    let text = "SELECT w.code, sum(w.items)::bigint AS items, (array_agg(w.key ORDER BY w.job_id))[1] AS key,
                       (array_agg(w.row_index ORDER BY w.job_id))[1] AS row_index
                  FROM jobs j JOIN job_warnings w ON w.job_id = j.id
                 WHERE j.sync_id = $1 GROUP BY w.code ORDER BY w.code";
    let rows = client.query(&client.prepare_cached(text).await?, &[&sync_id]).await?;
    let read = |row: &tokio_postgres::Row| -> Result<WarnedItems> {
        Ok(WarnedItems {
            warning: word(row, "code")?,
            items: row.get("items"),
            key: row.get("key"),
            row_index: row.get("row_index"),
        })
    };
    rows.iter().map(read).collect()
}
