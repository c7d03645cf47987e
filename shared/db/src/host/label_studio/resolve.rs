//! Reads for resolving a URI: a task of Label Studio, the storages of its project, and whether a user may see it.
//!
//! Secrets are read from Label Studio's rows for each request, so new credentials work at once.

use longshore_model::{Direction, StorageKind};
use longshore_uri::ObjectUri;
use tokio_postgres::Row;

use super::storage;
use super::tables::StorageTables;
use crate::printed::printed;
use crate::resolve::{Candidate, CandidateSecrets, Holder, MAX_SETTINGS, SMALL_DATA};
use crate::{Error, GenericClient, Result};

/// A task of Label Studio for a request.
#[derive(Debug, Clone)]
pub struct HostTask {
    /// The task. Its storage is the one of the URI's kind that it was imported from.
    pub holder: Holder,
    /// Whether the user's membership of the project's organization was removed. False without a user.
    pub is_removed: bool,
}

/// A task of a project that is not deleted, for a URI of this kind of storage. `None` if there is none.
///
/// The data is only read if `with_data` is true. `user` is the ID of the user of Label Studio who asks.
///
/// # Errors
/// Postgres cannot print the data.
pub async fn task(
    client: &impl GenericClient,
    id: i64,
    uri: Option<&ObjectUri<'_>>,
    with_data: bool,
    user: Option<i64>,
) -> Result<Option<HostTask>> {
    let links: Vec<String> = kinds(uri)
        .map(|tables| format!("(SELECT storage_id, key FROM public.{} WHERE task_id = t.id LIMIT 1)", tables.1.links))
        .collect();
    let text = format!(
        "SELECT t.id::bigint, t.project_id::bigint, d.bytes AS data_bytes,
                CASE WHEN d.bytes <= {SMALL_DATA} THEN t.data::text END AS data,
                l.storage_id::bigint, l.key AS storage_key,
                EXISTS (SELECT FROM public.organizations_organizationmember m
                         WHERE m.organization_id = p.organization_id AND m.user_id = $2::bigint
                           AND m.deleted_at IS NOT NULL) AS is_removed
           FROM public.task t
           JOIN public.project p ON p.id = t.project_id AND to_jsonb(p) ->> 'deleted_at' IS NULL
           LEFT JOIN LATERAL (SELECT {} AS bytes WHERE $3 OFFSET 0) d ON true
           LEFT JOIN LATERAL (SELECT * FROM ({}) each LIMIT 1) l ON true
          WHERE t.id = $1::bigint",
        printed("t.data"),
        if links.is_empty() {
            "SELECT NULL::int AS storage_id, NULL AS key".to_owned()
        } else {
            links.join(" UNION ALL ")
        }
    );
    let statement = client.prepare_cached(&text).await?;
    let row = client.query_opt(&statement, &[&id, &user, &with_data]).await?;
    Ok(row.as_ref().map(read))
}

fn read(row: &Row) -> HostTask {
    let holder = Holder {
        id: row.get("id"),
        project_id: row.get("project_id"),
        data: row.get("data"),
        data_bytes: row.get("data_bytes"),
        storage_id: row.get("storage_id"),
        storage_key: row.get("storage_key"),
    };
    HostTask { holder, is_removed: row.get("is_removed") }
}

/// The data of a task as JSON text, however large. `None` if the task does not exist.
///
/// # Errors
/// Postgres cannot print it.
pub async fn data(client: &impl GenericClient, task: i64) -> Result<Option<String>> {
    let row = client.query_opt("SELECT data::text FROM public.task WHERE id = $1::bigint", &[&task]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// The import storages of a project that a URI may be on, or all of them without a URI. The oldest of a kind come first,
/// up to a limit on their bytes.
pub async fn storages(
    client: &impl GenericClient,
    project: i64,
    uri: Option<&ObjectUri<'_>>,
) -> Result<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for (kind, tables) in kinds(uri) {
        let (row, from) = storage::whole(&tables);
        let text = format!(
            "SELECT id, row FROM (
                 SELECT id, row, sum(octet_length(row)) OVER (ORDER BY id) AS bytes FROM (
                     SELECT s.{key}::bigint AS id,
                            (({row}) - ARRAY['title', 'description', 'traceback', 'meta', 'status'])::text AS row
                       FROM {from} WHERE s.project_id = $1::bigint OFFSET 0) each) sized
              WHERE bytes <= {MAX_SETTINGS} ORDER BY id",
            key = tables.id
        );
        let statement = client.prepare_cached(&text).await?;
        for row in client.query(&statement, &[&project]).await? {
            // A storage that cannot be read serves no URI, but others of the project may.
            let Ok(current) = storage::parse(kind, row.get("row")) else { continue };
            let settings_text = serde_json::to_string(&current.settings)
                .map_err(|error| Error::unreadable("a storage of Label Studio", error))?;
            candidates.push(Candidate {
                id: row.get("id"),
                project_id: project,
                settings: current.settings,
                settings_text,
                secrets: CandidateSecrets::Open(current.secrets),
            });
        }
    }
    Ok(candidates)
}

/// The kinds of import storages that a URI may be on, with their tables.
fn kinds(uri: Option<&ObjectUri<'_>>) -> impl Iterator<Item = (StorageKind, StorageTables)> {
    let fits = move |kind: &StorageKind| uri.is_none_or(|uri| uri.may_be_on(*kind));
    let all = StorageKind::ALL.iter().copied().filter(fits).collect::<Vec<_>>();
    all.into_iter().filter_map(|kind| Some((kind, StorageTables::of(kind, Direction::Import)?)))
}
