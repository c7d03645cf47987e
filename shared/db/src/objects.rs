//! The ledger, table `objects`: what each key became. Import adds to it page by page.
//!
//! A sync that finds nothing new does not write the ledger: `objects.sync_id` is the sync that inserted the row, not
//! the latest one that saw the key.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

mod forget;
mod lookup;

use futures::pin_mut;
use jiff::Timestamp;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use crate::{Result, Transaction};

pub use forget::{LedgerPlace, next_of_ledger};
pub(crate) use forget::{delete_some, forget_tasks, forget_without_task};
pub use lookup::{KeyStatus, ListedPage, LookupMode, PageStatus, Unlisted, look_up};

/// A ledger row to write.
#[derive(Debug, Clone)]
pub struct NewObject<'a> {
    /// The object's key, its exact bytes.
    pub key: &'a str,
    /// Number of the item within the object, from 0.
    pub row_index: i32,
    /// ID of the task that the item became. `None` if the object has no items.
    pub task_id: Option<i64>,
    /// Version of the object that was read. `None` if the storage has no versions.
    pub etag: Option<&'a str>,
    /// Stored bytes of the object.
    pub size: i64,
    /// When the object was written, by the storage's clock. `None` if the storage does not report it.
    pub modified_at: Option<Timestamp>,
}

/// Copies rows into the ledger.
///
/// The fence of the caller's job protects its key range, so rows cannot conflict. The primary key would still catch a
/// bug.
///
/// # Errors
/// A unique violation if a key is already in the ledger. The caller must read the page again.
pub async fn insert(tx: &Transaction<'_>, storage_id: i64, sync_id: i64, rows: &[NewObject<'_>]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let copy = tx
        .prepare_cached(
            "COPY objects (storage_id, key, row_index, task_id, etag, size, modified_at, sync_id)
             FROM STDIN (FORMAT binary)",
        )
        .await?;
    let sink = tx.copy_in(&copy).await?;
    let types = [Type::INT8, Type::TEXT, Type::INT4, Type::INT8, Type::TEXT, Type::INT8, Type::TIMESTAMPTZ, Type::INT8];
    let writer = BinaryCopyInWriter::new(sink, &types);
    pin_mut!(writer);
    for row in rows {
        writer
            .as_mut()
            .write(&[
                &storage_id,
                &row.key,
                &row.row_index,
                &row.task_id,
                &row.etag,
                &row.size,
                &row.modified_at,
                &sync_id,
            ])
            .await?;
    }
    writer.finish().await?;
    Ok(())
}

/// Deletes the ledger rows of a storage.
pub(crate) async fn delete_of_storage(tx: &Transaction<'_>, storage_id: i64) -> Result<()> {
    tx.execute("DELETE FROM objects WHERE storage_id = $1", &[&storage_id]).await?;
    Ok(())
}
