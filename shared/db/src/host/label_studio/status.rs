//! The status of a sync in Label Studio's row of the storage, which is also the lock that keeps Label Studio's own syncs
//! out.

use jiff::{SignedDuration, Timestamp};
use longshore_model::{Direction, SyncStatus};
use serde_json::{Map, Value, json};

use super::fence;
use super::storage::HostStorage;
use super::tables::StorageTables;
use crate::host::host_time;
use crate::syncs::SyncRow;
use crate::{GenericClient, RawJson, Result, Transaction};

/// Label Studio takes a sync for dead if its last heartbeat is older: five times its `STORAGE_IN_PROGRESS_TIMER`.
const DEAD_AFTER: SignedDuration = SignedDuration::from_secs(25);

/// Whether another sync than ours has the storage: one of Label Studio itself that may still run.
pub(super) fn is_taken(storage: &HostStorage, now: Timestamp) -> bool {
    match &*storage.status {
        "queued" => true,
        "in_progress" => {
            let ping = storage.meta.get("time_last_ping").and_then(Value::as_str).and_then(parse_time);
            ping.is_none_or(|ping| now.duration_since(ping) <= DEAD_AFTER)
        }
        _ => false,
    }
}

/// Whether the storage has the sync with this mark.
pub(super) fn is_of(storage: &HostStorage, mark: &str) -> bool {
    storage.meta.get("time_queued").and_then(Value::as_str) == Some(mark)
}

/// A time as Label Studio writes it, such as `2026-11-26 01:42:48.485215+00:00`.
fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Marks a storage as queued, as Label Studio does, by the sync with this mark.
pub(super) async fn queue(
    tx: &Transaction<'_>,
    tables: &StorageTables,
    id: i64,
    storage: &HostStorage,
    mark: &str,
) -> Result<()> {
    let attempts = storage.meta.get("attempts").and_then(Value::as_i64).unwrap_or_default();
    let meta = json!({"attempts": attempts.saturating_add(1), "time_queued": mark});
    let text = format!(
        "UPDATE public.{} SET status = 'queued', last_sync = NULL, last_sync_count = NULL, last_sync_job = NULL, meta = $2
          WHERE {} = $1::bigint",
        tables.storages, tables.id
    );
    tx.execute(&text, &[&id, &RawJson(meta.to_string())]).await?;
    Ok(())
}

/// Shows the status and progress of a sync. Its heartbeat keeps Label Studio from taking a live sync for dead. Writes
/// nothing if Label Studio has started its own sync since. Returns false if another transaction has locked the row.
pub(super) async fn show(tx: &Transaction<'_>, tables: &StorageTables, id: i64, sync: &SyncRow) -> Result<bool> {
    if !is_free(tx, tables, id).await? {
        return Ok(false);
    }
    let status = match sync.status {
        // Label Studio has no such status.
        SyncStatus::Cancelled => SyncStatus::Failed,
        other => other,
    };
    let traceback = match sync.status {
        SyncStatus::Cancelled => Some("The sync was cancelled.".to_owned()),
        SyncStatus::CompletedWithErrors | SyncStatus::Completed
            if sync.detail.is_none() && sync.counts.quarantined + sync.counts.still_quarantined > 0 =>
        {
            Some(format!(
                "Quarantined by this sync: {}. Still in quarantine from earlier syncs: {}. For the reasons run \
                 `longshore quarantine list --storage {}`",
                sync.counts.quarantined,
                sync.counts.still_quarantined,
                sync.storage_id.unwrap_or_default()
            ))
        }
        SyncStatus::Failed | SyncStatus::CompletedWithErrors => sync.detail.clone(),
        SyncStatus::Initialized | SyncStatus::Queued | SyncStatus::InProgress | SyncStatus::Completed => None,
    };
    let moved = match sync.direction {
        Direction::Import => sync.counts.created,
        Direction::Export => sync.counts.exported,
    };
    let text = format!(
        "UPDATE public.{} s SET status = $2::text, traceback = $3, last_sync_count = $4::bigint,
                meta = coalesce(meta, '{{}}') || $5 || {},
                last_sync = CASE WHEN $2::text IN ('completed', 'completed_with_errors') THEN $6 ELSE last_sync END
          WHERE {} = $1::bigint AND meta ->> 'time_queued' = $7",
        tables.storages,
        total(sync),
        tables.id
    );
    let statement = tx.prepare_cached(&text).await?;
    // Not before it runs: the page takes a storage with a count for one whose sync has ended.
    let moved = (sync.status != SyncStatus::Queued).then_some(moved);
    let meta = RawJson(Value::Object(meta(sync)).to_string());
    tx.execute(
        &statement,
        &[&id, &status.as_str(), &traceback, &moved, &meta, &sync.finished_at, &fence::mark(sync.created_at)],
    )
    .await?;
    Ok(true)
}

/// Locks a storage's row, unless another transaction has it locked. True for a row that does not exist.
async fn is_free(tx: &Transaction<'_>, tables: &StorageTables, id: i64) -> Result<bool> {
    let text = format!(
        "SELECT FROM public.{} WHERE {} = $1::bigint FOR NO KEY UPDATE SKIP LOCKED",
        tables.storages, tables.id
    );
    let locked = tx.query_opt(&tx.prepare_cached(&text).await?, &[&id]).await?;
    if locked.is_some() {
        return Ok(true);
    }
    let text = format!("SELECT FROM public.{} WHERE {} = $1::bigint", tables.storages, tables.id);
    Ok(tx.query_opt(&tx.prepare_cached(&text).await?, &[&id]).await?.is_none())
}

/// The number of annotations in the project, as a member of `meta`, in SQL. A running export counts them only once: the
/// count takes longer than all else of a report.
fn total(sync: &SyncRow) -> &'static str {
    const COUNT: &str = "jsonb_build_object('total_annotations', (
                             SELECT count(*) FROM public.task_completion a WHERE a.project_id = s.project_id))";
    const COUNT_ONCE: &str =
        "CASE WHEN meta ? 'total_annotations' THEN '{}' ELSE jsonb_build_object('total_annotations', (
                             SELECT count(*) FROM public.task_completion a WHERE a.project_id = s.project_id)) END";
    match sync.direction {
        Direction::Export if sync.finished_at.is_some() => COUNT,
        Direction::Export if sync.started_at.is_some() => COUNT_ONCE,
        Direction::Import | Direction::Export => "'{}'",
    }
}

/// The heartbeat alone, while effects of the ended sync with this mark are still due. Writes nothing if the storage has
/// another sync since.
pub(super) async fn beat(client: &impl GenericClient, tables: &StorageTables, id: i64, mark: &str) -> Result<()> {
    let text = format!(
        "UPDATE public.{} SET status = 'in_progress', meta = coalesce(meta, '{{}}') || $2
          WHERE {} = $1::bigint AND status IN ('in_progress', 'failed') AND meta ->> 'time_queued' = $3",
        tables.storages, tables.id
    );
    let meta = json!({"time_last_ping": host_time(Timestamp::now())});
    client.execute(&text, &[&id, &RawJson(meta.to_string()), &mark]).await?;
    Ok(())
}

/// The members of `meta` that change.
fn meta(sync: &SyncRow) -> Map<String, Value> {
    let mut meta = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            meta.insert(name.to_owned(), value);
        }
    };
    let time = |time: Timestamp| Value::from(host_time(time));
    let failed = matches!(sync.status, SyncStatus::Failed | SyncStatus::Cancelled);
    let now = Timestamp::now();
    set("time_in_progress", sync.started_at.map(time));
    // Also at the end: a short sync ends before its first heartbeat.
    set("time_last_ping", sync.started_at.map(|_| time(sync.finished_at.unwrap_or(now))));
    set("time_completed", sync.finished_at.filter(|_| !failed).map(time));
    set("time_failure", sync.finished_at.filter(|_| failed).map(time));
    let duration = |start| sync.finished_at.unwrap_or(now).duration_since(start).as_secs_f64();
    set("duration", sync.started_at.map(|start| Value::from(duration(start))));
    match sync.direction {
        Direction::Import if sync.started_at.is_some() => set("tasks_existed", Some(sync.counts.unchanged.into())),
        Direction::Import | Direction::Export => {}
    }
    set("tasks_failed_validation", (sync.counts.quarantined > 0).then(|| sync.counts.quarantined.into()));
    meta
}
