//! The native host: Longshore's own `projects`, `tasks`, `annotations` and `predictions`.

mod copy;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use longshore_model::{Direction, Secrets, StorageSettings, SyncStatus};
use serde_json::json;

use crate::host::select::{self, Source};
use crate::host::{
    ControlTags, ExportFormat, ExportedUnit, Host, JobStorage, LabelingRules, NewTask, OutdatedUnit, SelectedUnits,
    Selection, TaskFormat, host_time,
};
use crate::syncs::SyncRow;
use crate::{Client, Error, Result, SealedSecrets, Sealer, Transaction, storages};

/// Longshore's own tables as the host.
#[derive(Debug, Clone)]
pub struct Native {
    sealer: Sealer,
}

impl Native {
    /// A host that opens the secrets of storages with this sealer.
    pub fn new(sealer: Sealer) -> Self {
        Self { sealer }
    }
}

/// Adds tasks that no storage made to a project, with their annotations and predictions, and returns their IDs, in order. The
/// keys of the tasks have no meaning.
///
/// # Errors
/// [`Error::NotFound`] if the project does not exist.
pub async fn insert_sent_tasks(tx: &Transaction<'_>, project: i64, tasks: &[NewTask<'_>]) -> Result<Vec<i64>> {
    // The lock keeps the project from being deleted before the tasks are visible.
    let lock = "SELECT FROM projects WHERE id = $1 FOR KEY SHARE";
    if tx.query_opt(lock, &[&project]).await?.is_none() {
        return Err(Error::NotFound(format!("project {project}")));
    }
    copy::insert(tx, project, None, tasks).await
}

#[async_trait]
impl Host for Native {
    async fn storage(&self, client: &Client, storage_id: i64, sync_id: i64) -> Result<JobStorage> {
        let statement = client
            .prepare_cached(
                "SELECT p.id AS project_id, coalesce(y.settings, s.settings)::text AS settings,
                        s.settings::text AS current_settings, s.capabilities::text AS capabilities, y.server <> s.server AS moved,
                        y.finished_at IS NOT NULL AS ended, s.secrets, s.secrets_key_id, p.label_config
                   FROM storages s JOIN syncs y ON y.storage_id = s.id
                   JOIN projects p ON p.id = coalesce(y.project_id, s.project_id)
                  WHERE s.id = $1 AND y.id = $2",
            )
            .await?;
        let row = client
            .query_opt(&statement, &[&storage_id, &sync_id])
            .await?
            .ok_or_else(|| Error::NotFound(format!("storage {storage_id}")))?;
        // Only a live sync has the settings of its start. This sync was cancelled or failed meanwhile.
        if row.get("ended") {
            return Err(Error::LeaseLost);
        }
        let read = |column| -> Result<StorageSettings> {
            serde_json::from_str(row.get(column)).map_err(|error| Error::unreadable("storages.settings", error))
        };
        let (mut settings, current) = (read("settings")?, read("current_settings")?);
        let secrets = match (row.get::<_, Option<Vec<u8>>>("secrets"), row.get::<_, Option<String>>("secrets_key_id")) {
            (Some(bytes), Some(key_id)) => {
                let opened = self.sealer.open(&storages::seal_name(storage_id), &SealedSecrets { key_id, bytes })?;
                Secrets::read(settings.kind(), &opened).map_err(|error| Error::unreadable("storages.secrets", error))?
            }
            _ => Secrets::none(settings.kind()),
        };
        // Compare the settings as well: a storage last saved by an earlier release has no digest of its server, or an
        // old one.
        let server = |settings: &StorageSettings| settings.connection.server(&secrets);
        if row.get::<_, Option<bool>>("moved") == Some(true) || server(&settings) != server(&current) {
            return Err(Error::StorageMoved);
        }
        // Whether the processes' own identity is lent to a bucket is decided when a storage is saved. It was decided for
        // the current one, so it is not used for the bucket of the start.
        let (bucket, current_bucket) = (settings.connection.bucket(), current.connection.bucket());
        if current.connection.uses_own_identity(&secrets) && bucket != current_bucket {
            return Err(Error::StorageMoved);
        }
        settings.connection.take_identity(&current.connection);
        let export_format = ExportFormat {
            prefix: settings.connection.prefix(),
            json_suffix: settings.export_tasks || settings.json_suffix,
            per_task: settings.export_tasks,
            is_indented: false,
            counts_annotations: false,
        };
        Ok(JobStorage {
            mark: String::new(),
            id: storage_id,
            project_id: row.get("project_id"),
            settings,
            capabilities: storages::read_capabilities(row.get("capabilities")),
            secrets,
            task_format: TaskFormat::Native(Arc::new(ControlTags::of_config(row.get("label_config")))),
            label_config: row.get("label_config"),
            rules: LabelingRules::default(),
            export_format,
        })
    }

    async fn begin_import(&self, _: &mut Client, _: &JobStorage) -> Result<()> {
        // Only Longshore writes the ledger and its tasks.
        Ok(())
    }

    async fn insert_tasks(
        &self,
        tx: &Transaction<'_>,
        storage: &JobStorage,
        tasks: &[NewTask<'_>],
    ) -> Result<Vec<i64>> {
        copy::insert(tx, storage.project_id, Some(storage.id), tasks).await
    }

    async fn show_status(&self, tx: &Transaction<'_>, sync: &SyncRow) -> Result<bool> {
        let Some(storage_id) = sync.storage_id.filter(|_| sync.deletion.is_none()) else { return Ok(true) };
        let counts = &sync.counts;
        let (moved, progress) = match sync.direction {
            Direction::Import => (counts.created, import_progress(sync)),
            Direction::Export => {
                let total = counts.exported + counts.unchanged;
                (total, json!({ "total_annotations": total }))
            }
        };
        let failed = sync.status == SyncStatus::Failed;
        let times = json!({
            "time_in_progress": sync.started_at.map(host_time),
            "time_last_ping": sync.finished_at.is_none().then(|| host_time(Timestamp::now())),
            "time_completed": sync.finished_at.filter(|_| !failed).map(host_time),
            "time_failure": sync.finished_at.filter(|_| failed).map(host_time),
            "duration": sync.started_at.map(|start| sync.finished_at.unwrap_or_else(Timestamp::now).duration_since(start).as_secs_f64()),
            "tasks_failed_validation": (counts.quarantined > 0).then_some(counts.quarantined),
        });
        let traceback = match sync.status {
            SyncStatus::Failed => sync.detail.clone(),
            SyncStatus::CompletedWithErrors if sync.detail.is_some() => sync.detail.clone(),
            SyncStatus::CompletedWithErrors => Some(format!(
                "Quarantined by this sync: {}. Still in quarantine from earlier syncs: {}. For the reasons see \
                 /api/quarantine?storage={}",
                counts.quarantined, counts.still_quarantined, storage_id
            )),
            SyncStatus::Initialized
            | SyncStatus::Queued
            | SyncStatus::InProgress
            | SyncStatus::Completed
            | SyncStatus::Cancelled => None,
        };
        let shown = storages::StatusReport {
            status: sync.status,
            sync_id: sync.id,
            moved,
            traceback: traceback.as_deref(),
            finished_at: sync.finished_at,
            progress: &progress,
            times: &times,
        };
        storages::show(tx, storage_id, &shown).await?;
        Ok(true)
    }

    fn annotations_table(&self) -> &'static str {
        ANNOTATIONS.table
    }

    async fn link_exports(
        &self,
        _: &Transaction<'_>,
        _: &JobStorage,
        _: &[ExportedUnit<'_>],
    ) -> Result<Vec<OutdatedUnit>> {
        // Table `exports` says it, and nothing else writes objects: the next sync writes what changed meanwhile.
        Ok(Vec::new())
    }

    async fn last_unit_id(&self, client: &Client, project_id: i64, per_task: bool) -> Result<i64> {
        select::last_id(client, source(per_task), project_id).await
    }

    async fn next_unit_id(&self, client: &Client, selection: &Selection<'_>, per_task: bool) -> Result<Option<i64>> {
        select::next_id(client, source(per_task), selection).await
    }

    async fn annotations(&self, client: &mut Client, selection: &Selection<'_>) -> Result<SelectedUnits> {
        select::units(client, &ANNOTATIONS, selection).await
    }

    async fn annotated_tasks(&self, client: &mut Client, selection: &Selection<'_>) -> Result<SelectedUnits> {
        select::units(client, &TASKS, selection).await
    }
}

/// What an import did and what users should know about it, for the storage's row. What there is nothing of is null.
fn import_progress(sync: &SyncRow) -> serde_json::Value {
    let skipped: BTreeMap<&str, i64> = sync.counts.skipped.rules().collect();
    let warnings = sync.warnings();
    json!({
        "tasks_existed": sync.counts.existed,
        "skipped": (!skipped.is_empty()).then_some(skipped),
        "warnings": (!warnings.is_empty()).then_some(warnings),
    })
}

const ANNOTATIONS: Source = Source {
    choosing: include_str!("native/annotations_to_export.sql"),
    table: "annotations",
    task: "task_id",
    is_grouped: false,
};

const TASKS: Source =
    Source { choosing: include_str!("native/tasks_to_export.sql"), table: "tasks", task: "id", is_grouped: true };

fn source(per_task: bool) -> &'static Source {
    if per_task { &TASKS } else { &ANNOTATIONS }
}
