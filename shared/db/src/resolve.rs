//! What resolving a URI needs of the rows: the task that holds it, and the storages that may hold its
//! object. One statement a request, prepared once a connection.

use deadpool_postgres::GenericClient;
use longshore_model::uri::ObjectUri;
use longshore_model::{StorageKind, StorageSettings};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::{Error, Result, Sealed};

/// An import storage that a URI may lead to.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub id: i64,
    pub settings: StorageSettings,
    /// The text that the settings were read from: another text is another storage.
    pub settings_text: String,
    pub secrets: Option<Sealed>,
}

/// A task, as far as its URIs matter.
#[derive(Debug, Clone)]
pub struct Holder {
    pub id: i64,
    pub project_id: i64,
    /// JSON; `None` if it was not asked for.
    pub data: Option<String>,
    /// Where the task came from.
    pub storage_id: Option<i64>,
    pub storage_key: Option<String>,
}

/// Which storages of a project may count. Of Redis all do: what stands for its bucket is no one setting.
const FITTING: &str = "s.direction = 'import' AND s.kind = ANY ($2)
    AND ($3 = '' OR s.kind = 'redis' OR coalesce(s.settings ->> 'bucket', s.settings ->> 'container') = $3)";

const STORAGE: &str = "s.id AS storage, s.settings::text AS settings, s.secrets, s.secrets_key_id";

const HOLDER: &str = "t.id, t.project_id, t.storage_id, t.storage_key";

/// A task and the import storages of its project that fit a URI; `None` if there is no such task.
///
/// Without `with_data` the task's data stays where it is.
///
/// # Errors
/// The database is away.
pub async fn by_task(
    client: &impl GenericClient,
    task: i64,
    uri: &ObjectUri<'_>,
    with_data: bool,
) -> Result<Option<(Holder, Vec<Candidate>)>> {
    let text = format!(
        "SELECT {HOLDER}, CASE WHEN $4 AND row_number() OVER () = 1 THEN t.data::text END AS data, {STORAGE}
           FROM tasks t LEFT JOIN storages s ON s.project_id = t.project_id AND {FITTING}
          WHERE t.id = $1"
    );
    let rows = ask(client, &text, &[&task, &kinds(uri), &uri.bucket, &with_data]).await?;
    found(&rows)
}

/// A task and all import storages of its project; `None` if there is no such task.
///
/// # Errors
/// The database is away.
pub async fn whole_task(client: &impl GenericClient, task: i64) -> Result<Option<(Holder, Vec<Candidate>)>> {
    let text = format!(
        "SELECT {HOLDER}, CASE WHEN row_number() OVER () = 1 THEN t.data::text END AS data, {STORAGE}
           FROM tasks t LEFT JOIN storages s ON s.project_id = t.project_id AND s.direction = 'import'
          WHERE t.id = $1"
    );
    found(&ask(client, &text, &[&task]).await?)
}

/// The task that an object of a project became, with the storage that it came from; `None` if no import
/// storage that fits the URI has made a task of it.
///
/// Found by the ledger's key: `key` is the object's, which for local files is not the URI's.
///
/// # Errors
/// The database is away.
pub async fn by_project(
    client: &impl GenericClient,
    project: i64,
    uri: &ObjectUri<'_>,
    key: &str,
) -> Result<Option<(Holder, Vec<Candidate>)>> {
    let text = format!(
        "SELECT {HOLDER}, t.data::text AS data, {STORAGE}
           FROM storages s
           JOIN objects o ON o.storage_id = s.id AND o.key = $4
           JOIN tasks t ON t.id = o.task_id AND t.project_id = s.project_id
          WHERE s.project_id = $1 AND {FITTING}
          ORDER BY o.storage_id, o.row_index LIMIT 1"
    );
    let rows = ask(client, &text, &[&project, &kinds(uri), &uri.bucket, &key]).await?;
    found(&rows)
}

/// All import storages of a project.
///
/// # Errors
/// The database is away.
pub async fn connected(client: &impl GenericClient, project: i64) -> Result<Vec<Candidate>> {
    let text = format!("SELECT {STORAGE} FROM storages s WHERE s.project_id = $1 AND s.direction = 'import'");
    candidates(&ask(client, &text, &[&project]).await?)
}

/// The local files that are connected to projects in `scope`; `None` is all projects.
///
/// # Errors
/// The database is away.
pub async fn local_files(client: &impl GenericClient, scope: Option<&[i64]>) -> Result<Vec<Candidate>> {
    let text = format!(
        "SELECT {STORAGE} FROM storages s
          WHERE s.kind = 'localfiles' AND s.direction = 'import' AND ($1::bigint[] IS NULL OR s.project_id = ANY ($1))"
    );
    candidates(&ask(client, &text, &[&scope]).await?)
}

async fn ask(client: &impl GenericClient, text: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
    let statement = client.prepare_cached(text).await?;
    Ok(client.query(&statement, values).await?)
}

fn kinds(uri: &ObjectUri<'_>) -> Vec<&'static str> {
    uri.kinds().iter().copied().map(StorageKind::as_str).collect()
}

fn found(rows: &[Row]) -> Result<Option<(Holder, Vec<Candidate>)>> {
    let Some(first) = rows.first() else { return Ok(None) };
    let holder = Holder {
        id: first.get("id"),
        project_id: first.get("project_id"),
        data: rows.iter().find_map(|row| row.get("data")),
        storage_id: first.get("storage_id"),
        storage_key: first.get("storage_key"),
    };
    Ok(Some((holder, candidates(rows)?)))
}

/// Reads the storages of rows; a row without one is a task without one.
fn candidates(rows: &[Row]) -> Result<Vec<Candidate>> {
    let mut candidates = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(id) = row.get("storage") else { continue };
        let settings_text: String = row.get("settings");
        let settings =
            serde_json::from_str(&settings_text).map_err(|error| Error::unreadable("storages.settings", error))?;
        let (bytes, key_id): (Option<Vec<u8>>, Option<String>) = (row.get("secrets"), row.get("secrets_key_id"));
        let secrets = bytes.zip(key_id).map(|(bytes, key_id)| Sealed { key_id, bytes });
        candidates.push(Candidate { id, settings, settings_text, secrets });
    }
    Ok(candidates)
}
