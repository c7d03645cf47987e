//! A running Label Studio as the host: Longshore reads its storages and writes to its tables.
//!
//! Supported is the open edition from 1.21 on, on PostgreSQL. Longshore's schema is in the same database, so a page is
//! one transaction over the tables of both. A row of `storages` is only a handle; secrets stay in Label Studio's tables.

mod adopt;
mod catalog;
mod check;
mod cohort;
mod control_tags;
mod copy;
mod corrected;
mod created;
mod deliveries;
mod edition;
mod effects;
mod enqueue;
mod exports;
mod fence;
mod fold;
mod handle;
pub mod handles;
mod hold;
mod inner_ids;
mod recount;
mod references;
mod remove;
pub mod resolve;
pub mod rights;
mod runs;
mod shown;
mod status;
mod storage;
mod summary;
mod tables;
mod users;
mod version;
mod webhook;
mod written;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use longshore_model::StorageSettings;

use crate::host::select;
use crate::host::{
    ControlTags, ExportedUnit, Host, JobStorage, KnownReferences, LabelReferences, LabelingRules, NewTask,
    OutdatedUnit, SelectedUnits, Selection, TaskFormat,
};
use crate::syncs::{self, SyncRow};
use crate::{Client, Db, Error, GenericClient, Result, Transaction};

use catalog::Catalog;
pub(crate) use check::check;
pub use corrected::{overwritten_ends, show_end};
pub use created::{deliver_batch, list_batches};
pub use deliveries::{Delivery, Tries, claim_delivery, confirm_delivery, drop_delivery, retry_delivery};
pub use effects::{
    Cohort, DueEffects, DueExports, ExportStorage, FollowingExport, arrange_cohort, due_effects, due_exports,
    end_effects, end_exports, enqueue_export, export_storages, show_effects,
};
pub(super) use enqueue::enqueue_handle;
pub use enqueue::{HostRequest, HostSync, enqueue, enqueue_with};
pub use exports::ExportRules;
pub use fold::{fold, next_to_fold};
use handle::{Handle, handle};
pub use recount::{Checked, check_summary};
pub use remove::{Due, Removal, remove, running};
pub use shown::{LastSync, SYNC_FIELDS, last_sync};
use storage::Lock;
use tables::StorageTables;
pub use users::is_user;
pub use version::faults;
pub use webhook::{WebhookCall, next_call};

/// Label Studio's tables as the host.
#[derive(Clone)]
pub struct LabelStudio {
    /// Connections for the numbers of tasks, which are taken while a page has its own connection. Were they of the same
    /// pool, pages could wait for each other without end.
    numbers: Db,
    /// What this version stores. `None` until it is read, and again after a statement failed because it has changed.
    catalog: Arc<Mutex<Option<Catalog>>>,
    exports: ExportRules,
}

impl LabelStudio {
    /// A host that takes numbers of tasks by these connections, and exports by these rules.
    pub fn new(numbers: Db, exports: ExportRules) -> Self {
        Self { numbers, catalog: Arc::default(), exports }
    }

    async fn catalog(&self, client: &impl GenericClient) -> Result<Catalog> {
        // No statement leaves half of a value, so a poisoned lock is harmless.
        let known = *self.catalog.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some(known) => Ok(known),
            None => {
                let read = Catalog::read(client).await?;
                *self.catalog.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
                Ok(read)
            }
        }
    }

    /// The result of a statement on Label Studio's tables. If it failed because the tables have changed, as after an
    /// upgrade, forgets the catalog and looks whether Longshore can still write them.
    async fn checked<T>(&self, result: Result<T>) -> Result<T> {
        let Err(error) = result else { return result };
        if !error.is_of_changed_tables() {
            return Err(error);
        }
        *self.catalog.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // The transaction of the failed statement accepts no other one.
        let faults = self.numbers.in_time(async { faults(&self.numbers.client().await?).await }).await?;
        Err(if faults.is_empty() { error } else { Error::HostUnsupported(faults.join(" ")) })
    }
}

fn tables(handle: &Handle) -> Result<StorageTables> {
    StorageTables::of(handle.kind, handle.direction)
        .ok_or_else(|| Error::NotFound(format!("storage of kind {} in Label Studio", handle.kind)))
}

/// Reads what a job needs to know about its storage.
async fn read_storage(client: &Client, exports: ExportRules, storage_id: i64, sync_id: i64) -> Result<JobStorage> {
    let handle = handle(client, storage_id).await?;
    let statement = client
        .prepare_cached(
            "SELECT y.settings::text AS settings, y.created_at, y.finished_at IS NOT NULL AS ended, u.id::int AS user_id,
                        p.id::bigint AS project_id, p.maximum_annotations::int,
                        p.skip_queue = 'IGNORE_SKIPPED' AS counts_skipped, p.parsed_label_config::text AS controls,
                        CASE WHEN p.parsed_label_config IS NULL THEN p.label_config END AS label_config
                   FROM syncs y JOIN public.project p ON p.id = y.project_id
                   LEFT JOIN public.htx_user u ON u.id = y.host_user_id
                  WHERE y.id = $1 AND to_jsonb(p) ->> 'deleted_at' IS NULL",
        )
        .await?;
    let missing = || deleted(&handle);
    let row = client.query_opt(&statement, &[&sync_id]).await?.ok_or_else(missing)?;
    if row.get("ended") {
        return Err(Error::LeaseLost);
    }
    let current = storage::read(client, handle.kind, handle.direction, handle.host_id, Lock::None).await?;
    let current = current.ok_or_else(missing)?;
    let mark = fence::mark(row.get("created_at"));
    if !status::is_of(&current, &mark) {
        return Err(Error::TakenOver);
    }
    let mut settings: StorageSettings =
        serde_json::from_str(row.get("settings")).map_err(|error| Error::unreadable("syncs.settings", error))?;
    let server = |settings: &StorageSettings| settings.connection.server(&current.secrets);
    if server(&settings) != server(&current.settings) {
        return Err(Error::StorageMoved);
    }
    settings.connection.take_identity(&current.settings.connection);
    let export_format = exports.format(&settings);
    Ok(JobStorage {
        id: storage_id,
        project_id: row.get("project_id"),
        settings,
        capabilities: handle.capabilities,
        secrets: current.secrets,
        // Label Studio itself puts the name of its label config in place of `$undefined$`, each time it shows a task.
        label_config: String::new(),
        rules: LabelingRules {
            overlap: row.get("maximum_annotations"),
            counts_skipped: row.get::<_, Option<bool>>("counts_skipped").unwrap_or_default(),
            user_id: row.get("user_id"),
        },
        task_format: TaskFormat::LabelStudio(controls(row.get("controls"), row.get("label_config"))?),
        export_format,
        mark,
    })
}

fn deleted(handle: &Handle) -> Error {
    Error::Deleted(format!("{} {} storage {} of Label Studio", handle.kind, handle.direction, handle.host_id))
}

/// The control tags of a project as Label Studio stores them, in its order: that of `jsonb`.
fn controls(parsed: Option<&str>, label_config: Option<&str>) -> Result<Arc<ControlTags>> {
    let unreadable = |error: serde_json::Error| Error::unreadable("project.parsed_label_config", error);
    let tags = match parsed {
        Some(parsed) => control_tags::parse(parsed).map_err(unreadable)?,
        None => label_config.map(control_tags::of_config).unwrap_or_default(),
    };
    Ok(Arc::new(ControlTags::new(tags)))
}

#[async_trait]
impl Host for LabelStudio {
    async fn storage(&self, client: &Client, storage_id: i64, sync_id: i64) -> Result<JobStorage> {
        if syncs::waits_for_host(client, sync_id).await? {
            let mut own = self.numbers.client().await?;
            self.checked(enqueue::take_waiting(&mut own, storage_id, sync_id).await).await?;
        }
        self.checked(read_storage(client, self.exports, storage_id, sync_id).await).await
    }

    fn counts_known_tasks(&self) -> bool {
        true
    }

    async fn begin_import(&self, client: &mut Client, storage: &JobStorage) -> Result<()> {
        let handle = handle(client, storage.id).await?;
        self.checked(adopt::adopt(client, &tables(&handle)?, storage.id, handle.host_id).await).await
    }

    async fn known_references(
        &self,
        client: &Client,
        project_id: i64,
        wanted: &LabelReferences,
    ) -> Result<KnownReferences> {
        self.checked(references::known(client, project_id, wanted).await).await
    }

    async fn hold(&self, tx: &Transaction<'_>, storage: &JobStorage) -> Result<()> {
        let handle = handle(tx, storage.id).await?;
        self.checked(fence::hold_all(tx, &tables(&handle)?, &handle, storage).await).await
    }

    async fn check_sync(&self, client: &Client, storage: &JobStorage) -> Result<()> {
        let handle = handle(client, storage.id).await?;
        self.checked(fence::check(client, &tables(&handle)?, &handle, &storage.mark).await).await
    }

    async fn add_summary(&self, tx: &Transaction<'_>, storage: &JobStorage, delta: &str) -> Result<()> {
        copy::add_summary(tx, storage.project_id, delta).await
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
            first_inner_id: self.checked(inner_ids::take(&self.numbers, storage.project_id, count).await).await?,
            catalog: self.checked(self.catalog(tx).await).await?,
        };
        self.checked(copy::insert(tx, &page, tasks).await).await
    }

    async fn settle(&self, client: &mut Client) -> Result<()> {
        fold::fold_ended(client).await
    }

    async fn show_status(&self, tx: &Transaction<'_>, sync: &SyncRow) -> Result<bool> {
        let handle = handle(tx, sync.storage_id.unwrap_or_default()).await?;
        status::show(tx, &tables(&handle)?, handle.host_id, sync).await
    }

    fn annotations_table(&self) -> &'static str {
        exports::ANNOTATIONS.table
    }

    async fn link_exports(
        &self,
        tx: &Transaction<'_>,
        storage: &JobStorage,
        units: &[ExportedUnit<'_>],
    ) -> Result<Vec<OutdatedUnit>> {
        let handle = handle(tx, storage.id).await?;
        self.checked(exports::link(tx, &tables(&handle)?, &handle, storage, units).await).await
    }

    async fn last_unit_id(&self, client: &Client, project_id: i64, per_task: bool) -> Result<i64> {
        self.checked(select::last_id(client, exports::source(per_task), project_id).await).await
    }

    async fn next_unit_id(&self, client: &Client, selection: &Selection<'_>, per_task: bool) -> Result<Option<i64>> {
        self.checked(select::next_id(client, exports::source(per_task), selection).await).await
    }

    async fn annotations(&self, client: &mut Client, selection: &Selection<'_>) -> Result<SelectedUnits> {
        self.checked(select::units(client, &exports::ANNOTATIONS, selection).await).await
    }

    async fn annotated_tasks(&self, client: &mut Client, selection: &Selection<'_>) -> Result<SelectedUnits> {
        self.checked(select::units(client, &exports::TASKS, selection).await).await
    }
}
