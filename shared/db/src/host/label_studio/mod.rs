//! A running Label Studio as the host: Longshore reads its storages and writes to its tables.
//!
//! Supported is the open edition 1.23 on PostgreSQL. Longshore's schema is in the same database, so a page is
//! one transaction over the tables of both. A row of `storages` is only a handle; secrets stay in Label Studio's tables.

mod adopt;
mod check;
mod copy;
mod edition;
mod enqueue;
mod fold;
mod inner_ids;
mod remove;
pub mod rights;
mod status;
mod storage;
mod summary;
mod tables;
mod version;

use async_trait::async_trait;
use longshore_model::{Direction, StorageKind, StorageSettings};

use crate::host::{Host, JobStorage, LabelingRules, NewTask, SelectedUnits, Selection};
use crate::row::word;
use crate::syncs::SyncRow;
use crate::{Client, Db, Error, GenericClient, Result, Transaction};

pub(crate) use check::check;
pub use enqueue::{HostRequest, HostSync, enqueue};
pub use fold::fold;
pub use remove::{Removed, remove, running};
use storage::Lock;
use tables::StorageTables;
pub use version::faults;

/// Label Studio's tables as the host.
#[derive(Clone)]
pub struct LabelStudio {
    /// Connections for the numbers of tasks, which are taken while a page has its own connection. Were they of the same
    /// pool, pages could wait for each other without end.
    numbers: Db,
}

/// What a handle names.
struct Handle {
    kind: StorageKind,
    direction: Direction,
    host_id: i64,
}

impl LabelStudio {
    /// A host that takes numbers of tasks by these connections.
    pub fn new(numbers: Db) -> Self {
        Self { numbers }
    }
}

/// The storage of a handle.
async fn handle(client: &impl GenericClient, storage_id: i64) -> Result<Handle> {
    let statement = client.prepare_cached("SELECT kind, direction, host_id FROM storages WHERE id = $1").await?;
    let row = client.query_opt(&statement, &[&storage_id]).await?;
    let row = row.ok_or_else(|| Error::NotFound(format!("storage {storage_id}")))?;
    let host_id: Option<i64> = row.get("host_id");
    let host_id = host_id.ok_or_else(|| Error::NotFound(format!("storage {storage_id} of Label Studio")))?;
    Ok(Handle { kind: word(&row, "kind")?, direction: word(&row, "direction")?, host_id })
}

fn tables(handle: &Handle) -> Result<StorageTables> {
    StorageTables::of(handle.kind, handle.direction)
        .ok_or_else(|| Error::NotFound(format!("storage of kind {} in Label Studio", handle.kind)))
}

#[async_trait]
impl Host for LabelStudio {
    async fn storage(&self, client: &Client, storage_id: i64, sync_id: i64) -> Result<JobStorage> {
        let handle = handle(client, storage_id).await?;
        let statement = client
            .prepare_cached(
                "SELECT y.settings::text AS settings, y.finished_at IS NOT NULL AS ended, y.host_user_id::int AS user_id,
                        p.id::bigint AS project_id, p.maximum_annotations,
                        p.skip_queue = 'IGNORE_SKIPPED' AS counts_skipped
                   FROM syncs y JOIN public.project p ON p.id = y.project_id
                  WHERE y.id = $1 AND p.deleted_at IS NULL",
            )
            .await?;
        let missing = || Error::NotFound(format!("{} storage {} of Label Studio", handle.kind, handle.host_id));
        let row = client.query_opt(&statement, &[&sync_id]).await?.ok_or_else(missing)?;
        if row.get("ended") {
            return Err(Error::LeaseLost);
        }
        let current = storage::read(client, handle.kind, handle.direction, handle.host_id, Lock::None).await?;
        let current = current.ok_or_else(missing)?;
        let mut settings: StorageSettings =
            serde_json::from_str(row.get("settings")).map_err(|error| Error::unreadable("syncs.settings", error))?;
        let server = |settings: &StorageSettings| settings.connection.server(&current.secrets);
        if server(&settings) != server(&current.settings) {
            return Err(Error::StorageMoved);
        }
        settings.connection.take_identity(&current.settings.connection);
        Ok(JobStorage {
            id: storage_id,
            project_id: row.get("project_id"),
            settings,
            secrets: current.secrets,
            // Label Studio itself puts the name of its label config in place of `$undefined$`, each time it shows a task.
            label_config: String::new(),
            rules: LabelingRules {
                overlap: row.get("maximum_annotations"),
                counts_skipped: row.get::<_, Option<bool>>("counts_skipped").unwrap_or_default(),
                user_id: row.get("user_id"),
            },
        })
    }

    async fn begin_import(&self, client: &Client, storage: &JobStorage) -> Result<()> {
        let handle = handle(client, storage.id).await?;
        adopt::adopt(client, &tables(&handle)?, storage.id, handle.host_id).await
    }

    async fn insert_tasks(
        &self,
        tx: &Transaction<'_>,
        storage: &JobStorage,
        tasks: &[NewTask<'_>],
    ) -> Result<Vec<i64>> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let handle = handle(tx, storage.id).await?;
        let count = i64::try_from(tasks.len()).unwrap_or(i64::MAX);
        let page = copy::Page {
            storage,
            host_id: i32::try_from(handle.host_id).map_err(|error| Error::unreadable("a storage ID", error))?,
            tables: &tables(&handle)?,
            first_inner_id: inner_ids::take(&self.numbers, storage.project_id, count).await?,
        };
        copy::insert(tx, &page, tasks).await
    }

    async fn show_status(&self, tx: &Transaction<'_>, sync: &SyncRow) -> Result<()> {
        let handle = handle(tx, sync.storage_id).await?;
        status::show(tx, &tables(&handle)?, handle.host_id, sync).await
    }

    async fn last_unit_id(&self, _: &Client, _: i64, _: bool) -> Result<i64> {
        Err(unsupported())
    }

    async fn next_unit_id(&self, _: &Client, _: &Selection<'_>, _: bool) -> Result<Option<i64>> {
        Err(unsupported())
    }

    async fn annotations(&self, _: &mut Client, _: &Selection<'_>) -> Result<SelectedUnits> {
        Err(unsupported())
    }

    async fn annotated_tasks(&self, _: &mut Client, _: &Selection<'_>) -> Result<SelectedUnits> {
        Err(unsupported())
    }
}

/// Unreachable: `enqueue` refuses exports.
fn unsupported() -> Error {
    Error::Conflict("Exports of storages of Label Studio are not supported.".to_owned())
}
