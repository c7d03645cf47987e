//! Storages of Label Studio as Longshore's API shows them: each has a handle, and current values of Label Studio's row.
//!
//! A storage that was never synced by Longshore gets its handle when it is first read or listed. A handle whose storage
//! was deleted in Label Studio stays, because syncs and quarantine refer to it, and is not listed.

use longshore_model::{Direction, Secrets, StorageKind, SyncStatus};
use serde_json::{Map, Value};

use super::storage::{self, HostStorage, Lock};
use super::tables::StorageTables;
use crate::storages::{self, Handle, StorageFilter, StorageRow};
use crate::{Bounded, Client, GenericClient, Result, projects};

/// The most new handles of one kind that one list makes. More storages than this are listed by the next requests.
const MOST_NEW: i64 = 1_000;

/// The most storages in one answer. With its traceback cut, each takes at most some ten kilobytes.
const MOST_LISTED: usize = 1_000;

/// Characters of a traceback or a description in a list.
const MOST_TEXT: i32 = 2_048;

/// Whether the open edition of Label Studio has storages of this kind.
pub fn has_kind(kind: StorageKind) -> bool {
    StorageTables::of(kind, Direction::Import).is_some()
}

/// Whether a project exists in Label Studio and is not deleted. If so, it gets the row that handles refer to.
pub async fn has_project(client: &impl GenericClient, id: i64) -> Result<bool> {
    let text = "SELECT FROM public.project p WHERE p.id = $1::bigint AND to_jsonb(p) ->> 'deleted_at' IS NULL";
    let exists = client.query_opt(text, &[&id]).await?.is_some();
    if exists {
        projects::stand_in(client, id).await?;
    }
    Ok(exists)
}

/// A storage by its ID in Label Studio, with its secrets. `None` if it does not exist or its project is deleted.
pub async fn find(
    client: &impl GenericClient,
    kind: StorageKind,
    direction: Direction,
    host_id: i64,
) -> Result<Option<(StorageRow, Secrets)>> {
    let Some(current) = storage::read(client, kind, direction, host_id, Lock::None).await? else { return Ok(None) };
    let text = "SELECT id FROM storages WHERE kind = $1 AND direction = $2 AND host_id = $3";
    let known = client.query_opt(text, &[&kind.as_str(), &direction.as_str(), &host_id]).await?;
    let id = match known {
        Some(row) => row.get(0),
        None => make(client, kind, direction, host_id, &current).await?,
    };
    let secrets = current.secrets.clone();
    Ok(Some((shown(&storages::get(client, id).await?, current), secrets)))
}

async fn make(
    client: &impl GenericClient,
    kind: StorageKind,
    direction: Direction,
    host_id: i64,
    current: &HostStorage,
) -> Result<i64> {
    // The foreign key of handles needs a row. The project itself is Label Studio's.
    projects::stand_in(client, current.project_id).await?;
    let handle = Handle {
        project_id: current.project_id,
        kind,
        direction,
        title: current.title.as_deref(),
        settings: &current.settings,
        host_id,
    };
    storages::write_handle(client, &handle).await
}

/// Storages of a direction whose handle has a larger ID than `after`, oldest handle first, as far as they fit into `most`
/// bytes.
pub async fn list(
    client: &Client,
    filter: &StorageFilter<'_>,
    direction: Direction,
    after: i64,
    most: i64,
) -> Result<Bounded<StorageRow>> {
    let kinds = StorageKind::ALL.iter().filter(|kind| filter.kind.is_none_or(|only| only == **kind));
    let kinds: Vec<_> = kinds.filter_map(|kind| Some((*kind, StorageTables::of(*kind, direction)?))).collect();
    for (kind, tables) in &kinds {
        make_missing(client, *kind, direction, tables, filter).await?;
    }
    let mut listed = storages::list(client, filter, after, most).await?;
    listed.is_cut |= listed.rows.len() > MOST_LISTED;
    listed.rows.truncate(MOST_LISTED);
    let mut rows = Vec::with_capacity(listed.rows.len());
    for (kind, tables) in &kinds {
        let (of_kind, others) = listed.rows.into_iter().partition::<Vec<_>, _>(|row| row.kind == *kind);
        listed.rows = others;
        rows.extend(current(client, *kind, tables, of_kind).await?);
    }
    let sees = |row: &StorageRow| {
        filter.project.is_none_or(|project| project == row.project_id)
            && filter.projects.is_none_or(|projects| projects.contains(&row.project_id))
    };
    // A storage may have moved to another project since its handle was made.
    rows.retain(sees);
    rows.sort_by_key(|row| row.id);
    Ok(Bounded { rows, is_cut: listed.is_cut })
}

/// Makes the handles that storages of a kind lack.
async fn make_missing(
    client: &Client,
    kind: StorageKind,
    direction: Direction,
    tables: &StorageTables,
    filter: &StorageFilter<'_>,
) -> Result<()> {
    let (whole, from) = storage::whole(tables);
    let text = format!(
        "SELECT s.{key}::bigint, ({whole})::text FROM {from} JOIN public.project p ON p.id = s.project_id
          WHERE to_jsonb(p) ->> 'deleted_at' IS NULL AND ($1::bigint IS NULL OR s.project_id = $1)
            AND ($2::bigint[] IS NULL OR s.project_id = ANY ($2))
            AND NOT EXISTS (SELECT FROM storages h
                             WHERE h.kind = $3 AND h.direction = $4 AND h.host_id = s.{key})
          ORDER BY s.{key} LIMIT {MOST_NEW}",
        key = tables.id
    );
    let (kind_word, direction_word) = (kind.as_str(), direction.as_str());
    let missing = client.query(&text, &[&filter.project, &filter.projects, &kind_word, &direction_word]).await?;
    for row in &missing {
        // One that cannot be read does not hide the others. `longshore host check` names it.
        if let Ok(current) = storage::parse(kind, row.get(1)) {
            make(client, kind, direction, row.get(0), &current).await?;
        }
    }
    Ok(())
}

/// The rows with the current values of Label Studio. Those that it has no longer are left out.
async fn current(
    client: &Client,
    kind: StorageKind,
    tables: &StorageTables,
    rows: Vec<StorageRow>,
) -> Result<Vec<StorageRow>> {
    let ids: Vec<i64> = rows.iter().filter_map(|row| row.host_id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let (whole, from) = storage::whole(tables);
    let text = format!(
        "SELECT s.{key}::bigint, ({whole} || jsonb_build_object(
                    'traceback', left(s.traceback, {MOST_TEXT}), 'description', left(s.description, {MOST_TEXT})))::text
           FROM {from} JOIN public.project p ON p.id = s.project_id
          WHERE s.{key} = ANY ($1::bigint[]) AND to_jsonb(p) ->> 'deleted_at' IS NULL",
        key = tables.id
    );
    let found = client.query(&text, &[&ids]).await?;
    let mut found: std::collections::BTreeMap<i64, HostStorage> =
        found.iter().filter_map(|row| Some((row.get(0), storage::parse(kind, row.get(1)).ok()?))).collect();
    Ok(rows.into_iter().filter_map(|row| Some(shown(&row, found.remove(&row.host_id?)?))).collect())
}

/// A handle with the current values of its storage.
fn shown(handle: &StorageRow, current: HostStorage) -> StorageRow {
    let row: Map<String, Value> = current.row;
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let time = |name: &str| row.get(name).and_then(Value::as_str).and_then(|time| time.parse().ok());
    StorageRow {
        project_id: current.project_id,
        title: current.title,
        description: text("description"),
        settings: current.settings,
        synchronizable: current.synchronizable,
        status: current.status.parse().unwrap_or(SyncStatus::Initialized),
        last_sync: time("last_sync"),
        last_sync_count: row.get("last_sync_count").and_then(Value::as_i64),
        last_sync_job: text("last_sync_job"),
        traceback: text("traceback"),
        meta: Value::Object(current.meta),
        created_at: time("created_at").unwrap_or(handle.created_at),
        ..handle.clone()
    }
}
