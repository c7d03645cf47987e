//! What follows from an import: the overlap cohort of its project, deliveries to webhooks, exports of annotations that came
//! with tasks.
//!
//! Cohort and deliveries precede the report of the sync's end, so that users see the right numbers once the sync has
//! ended. They commit together with the record that they are done, so each happens once for each sync, whichever process
//! dies.

use jiff::Timestamp;
use longshore_model::{Direction, StorageKind};

use super::enqueue::{HostRequest, HostSync, enqueue};
use super::tables::StorageTables;
use super::{cohort, created, fence, handle, status, tables};
use crate::lifecycle::RequestedBy;
use crate::{Client, Db, Error, GenericClient, Result, Transaction, syncs};

/// Ended syncs whose effects a call returns at most. The next call returns those that end meanwhile.
const MOST_SYNCS: i64 = 100;

/// An ended import whose effects are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueEffects {
    /// ID of the sync.
    pub sync_id: i64,
    /// ID of its storage's handle.
    pub storage_id: i64,
    /// ID of its project in Label Studio.
    pub project_id: i64,
    /// When it was enqueued, by the database clock.
    pub created_at: Timestamp,
}

/// Whether a part of the project's tasks gets more annotations than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cohort {
    /// It does.
    With,
    /// All tasks get the same number.
    Without,
}

/// Ended imports whose effects are due, oldest first, of projects with or without a cohort. Only those after this ID, and at
/// most 100.
pub async fn due_effects(client: &impl GenericClient, cohort: Cohort, after: i64) -> Result<Vec<DueEffects>> {
    let statement = client
        .prepare_cached(
            "SELECT y.id, y.storage_id, y.created_at, coalesce(y.project_id, 0) AS project_id
               FROM syncs y LEFT JOIN public.project p ON p.id = y.project_id AND to_jsonb(p) ->> 'deleted_at' IS NULL
              WHERE y.effects_due AND y.finished_at IS NOT NULL AND y.id > $3
                AND coalesce(p.overlap_cohort_percentage < 100 AND p.maximum_annotations > 1, false) = $2
              ORDER BY y.id LIMIT $1",
        )
        .await?;
    let rows = client.query(&statement, &[&MOST_SYNCS, &(cohort == Cohort::With), &after]).await?;
    let due = rows.iter().map(|row| DueEffects {
        sync_id: row.get("id"),
        storage_id: row.get("storage_id"),
        project_id: row.get("project_id"),
        created_at: row.get("created_at"),
    });
    Ok(due.collect())
}

/// Ends the effects of a sync whose project has no cohort, or whose cohort is given up. Returns false if another scheduler works on them.
pub async fn end_effects(client: &mut Client, due: &DueEffects) -> Result<bool> {
    let tx = client.transaction().await?;
    if !syncs::lock_effects(&tx, due.sync_id).await? {
        return Ok(false);
    }
    end(&tx, due.sync_id).await?;
    tx.commit().await?;
    Ok(true)
}

/// Arranges the cohort of the sync's project, then ends the effects. Returns false if another scheduler works on the sync
/// or the project.
///
/// Takes minutes for millions of tasks. A part that commits before this process dies is arranged again by the next call.
pub async fn arrange_cohort(db: &Db, due: &DueEffects) -> Result<bool> {
    let (mut reader, mut writer) = (db.client().await?, db.client().await?);
    let tx = reader.transaction().await?;
    let Some(cohort) = cohort::lock(&tx, due.project_id).await? else { return Ok(false) };
    if !syncs::lock_effects(&tx, due.sync_id).await? {
        return Ok(false);
    }
    cohort::arrange(&tx, db, &mut writer, &cohort).await?;
    end(&tx, due.sync_id).await?;
    tx.commit().await?;
    Ok(true)
}

async fn end(tx: &Transaction<'_>, sync_id: i64) -> Result<()> {
    created::lock(tx, sync_id).await?;
    while created::deliver(tx, sync_id).await? {}
    let has_annotations = created::end(tx, sync_id).await?;
    syncs::end_effects(tx, sync_id, has_annotations).await
}

/// Shows that the sync still works, so that Label Studio does not take it for dead.
pub async fn show_effects(client: &impl GenericClient, due: &DueEffects) -> Result<()> {
    let handle = handle(client, due.storage_id).await?;
    status::beat(client, &tables(&handle)?, handle.host_id, &fence::mark(due.created_at)).await
}

/// An ended import whose annotations are to be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueExports {
    /// ID of the sync.
    pub sync_id: i64,
    /// ID of its project in Label Studio.
    pub project_id: i64,
    /// The user of Label Studio who requested the import.
    pub user_id: Option<i64>,
    /// Whether the exports are given up if they cannot start now: the import ended an hour ago.
    pub is_late: bool,
}

/// Imports after this ID that brought annotations, and whose exports are not enqueued yet. At most 100.
pub async fn due_exports(client: &impl GenericClient, after: i64) -> Result<Vec<DueExports>> {
    let statement = client
        .prepare_cached(
            "SELECT id, coalesce(project_id, 0) AS project_id, host_user_id,
                    finished_at < now() - interval '1 hour' AS is_late
               FROM syncs WHERE exports_due AND id > $2 ORDER BY id LIMIT $1",
        )
        .await?;
    let rows = client.query(&statement, &[&MOST_SYNCS, &after]).await?;
    let due = rows.iter().map(|row| DueExports {
        sync_id: row.get("id"),
        project_id: row.get("project_id"),
        user_id: row.get("host_user_id"),
        is_late: row.get("is_late"),
    });
    Ok(due.collect())
}

/// An export storage of Label Studio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportStorage {
    /// Its kind.
    pub kind: StorageKind,
    /// Its ID in Label Studio.
    pub host_id: i64,
}

/// The export storages of a project.
pub async fn export_storages(client: &impl GenericClient, project_id: i64) -> Result<Vec<ExportStorage>> {
    let kinds = StorageKind::ALL.iter().filter_map(|kind| Some((*kind, StorageTables::of(*kind, Direction::Export)?)));
    let (kinds, selects): (Vec<StorageKind>, Vec<String>) = kinds
        .enumerate()
        .map(|(number, (kind, tables))| {
            let StorageTables { storages, id, .. } = tables;
            (kind, format!("SELECT {number}, {id}::bigint FROM public.{storages} WHERE project_id = $1::bigint"))
        })
        .unzip();
    let rows = client.query(&selects.join(" UNION ALL "), &[&project_id]).await?;
    let storages = rows.iter().filter_map(|row| {
        let kind = kinds.get(usize::try_from(row.get::<_, i32>(0)).ok()?)?;
        Some(ExportStorage { kind: *kind, host_id: row.get(1) })
    });
    Ok(storages.collect())
}

/// What became of an export that follows an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowingExport {
    /// It is enqueued, by this call or an earlier one.
    Enqueued,
    /// Another sync has the storage, and may have passed the annotations. The export has to start after it.
    Later,
    /// The storage does not sync, with the reason.
    Refused(String),
}

/// Enqueues the export of one storage that follows an import, once.
///
/// # Errors
/// The database is unavailable.
pub async fn enqueue_export(client: &mut Client, due: &DueExports, storage: ExportStorage) -> Result<FollowingExport> {
    let key = format!("import-{}", due.sync_id);
    let request = HostRequest {
        kind: storage.kind,
        direction: Direction::Export,
        host_id: storage.host_id,
        projects: None,
        user_id: due.user_id,
        requested_by: RequestedBy::Api,
        idempotency_key: Some(&key),
    };
    let tx = client.transaction().await?;
    let sync = match enqueue(&tx, &request).await {
        Ok(HostSync::Ours { sync, .. }) => sync,
        Ok(HostSync::Theirs) => return Ok(FollowingExport::Later),
        Err(Error::Conflict(reason) | Error::NotFound(reason)) => return Ok(FollowingExport::Refused(reason)),
        // Its sync from the page fails in the same way.
        Err(error @ Error::Unreadable { .. }) => return Ok(FollowingExport::Refused(error.to_string())),
        Err(error) => return Err(error),
    };
    if !syncs::has_key(&tx, sync.sync_id, &key).await? {
        return Ok(FollowingExport::Later);
    }
    tx.commit().await?;
    Ok(FollowingExport::Enqueued)
}

/// Records that the exports of an import are enqueued.
pub async fn end_exports(client: &impl GenericClient, due: &DueExports) -> Result<()> {
    syncs::end_exports(client, due.sync_id).await
}
