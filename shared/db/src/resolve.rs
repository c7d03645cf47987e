//! What resolving a URI needs of the rows: the task that holds it, and the storages that may hold its
//! object. One statement a request, prepared once a connection.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::GenericClient;
use longshore_model::{StorageKind, StorageSettings};
use longshore_uri::ObjectUri;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::printed::printed;
use crate::{Error, Result, Sealed};

/// An import storage that a URI may lead to.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Identity of the storage.
    pub id: i64,
    /// What users set, without secrets.
    pub settings: StorageSettings,
    /// The text that the settings were read from: another text is another storage.
    pub settings_text: String,
    /// The sealed secret fields. `None` if it has none.
    pub secrets: Option<Sealed>,
}

/// A task, as far as its URIs matter.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Identity of the task.
    pub id: i64,
    /// The task's project.
    pub project_id: i64,
    /// JSON; `None` if it was not asked for, or prints as more than [`SMALL_DATA`]: see [`data`].
    pub data: Option<String>,
    /// Bytes as which the data prints; `None` if it was not asked for.
    pub data_bytes: Option<i64>,
    /// The storage it was imported from. `None` if no storage made it.
    pub storage_id: Option<i64>,
    /// The key it was imported from. `None` where `storage_id` is.
    pub storage_key: Option<String>,
}

/// Data up to this many bytes comes with its task; more is asked for once there is memory for it.
///
/// Nearly all tasks
/// are smaller, and 1,000 requests at once hold 64 MiB of it.
pub const SMALL_DATA: i64 = 64 * 1024;

/// The bytes of settings of all storages that one request looks at. A storage has about 500 bytes; a project
/// with more than some 8,000 storages resolves by its oldest.
const MAX_SETTINGS: i64 = 4 * 1024 * 1024;

/// Which storages of a project may count: of these kinds, and with this value of the setting that is the bucket of the
/// URI. Where no single setting is (`$5` is null), all of these kinds do.
const FITTING: &str = "s.direction = 'import' AND s.kind = ANY ($2)
    AND ($5::text IS NULL OR s.settings ->> $5 = $3)";

const STORAGE: &str = "s.id AS storage, s.settings::text AS settings, s.secrets, s.secrets_key_id";

/// The data once, however many storages there are, and only if it is small.
const DATA: &str = "CASE WHEN row_number() OVER () = 1 AND d.bytes <= 65536 THEN t.data::text END AS data";

const HOLDER: &str = "t.id, t.project_id, t.storage_id, t.storage_key";

/// A task and the import storages of its project that fit a URI; `None` if there is no such task.
///
/// Without `with_data` the task's data is not read.
///
/// # Errors
/// The data cannot be printed.
pub async fn by_task(
    client: &impl GenericClient,
    task: i64,
    uri: &ObjectUri<'_>,
    with_data: bool,
) -> Result<Option<(Holder, Vec<Candidate>)>> {
    let text = format!(
        "SELECT {HOLDER}, d.bytes AS data_bytes, {DATA}, {STORAGE}
           FROM tasks t
           LEFT JOIN LATERAL (SELECT {} AS bytes WHERE $4 OFFSET 0) d ON true
           LEFT JOIN storages s ON s.project_id = t.project_id AND {FITTING}
          WHERE t.id = $1",
        printed("t.data")
    );
    let setting = uri.form().bucket_setting();
    let rows = ask(client, &text, &[&task, &kinds(uri), &uri.bucket, &with_data, &setting]).await?;
    found(&rows)
}

/// A task and all import storages of its project; `None` if there is no such task.
///
/// # Errors
/// The data cannot be printed.
pub async fn whole_task(client: &impl GenericClient, task: i64) -> Result<Option<(Holder, Vec<Candidate>)>> {
    let text = format!(
        "SELECT {HOLDER}, d.bytes AS data_bytes, {DATA}, {STORAGE}
           FROM tasks t
          CROSS JOIN LATERAL (SELECT {} AS bytes OFFSET 0) d
           LEFT JOIN {} s ON true
          WHERE t.id = $1",
        printed("t.data"),
        connected_to("t.project_id")
    );
    found(&ask(client, &text, &[&task]).await?)
}

/// The data of a task as JSON, however large; `None` if there is no such task.
///
/// # Errors
/// It cannot be printed.
pub async fn data(client: &impl GenericClient, task: i64) -> Result<Option<String>> {
    let row = client.query_opt("SELECT data::text FROM tasks WHERE id = $1", &[&task]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// The task that an object of a project became, with the storage that it came from; `None` if no import
/// storage that fits the URI has made a task of it.
///
/// Found by the ledger's key: `key` is the object's, which for local files is not the URI's. Storage by storage and
/// item by item, which the limits keep it to: as a plain join it may read all tasks of the project.
pub async fn by_project(
    client: &impl GenericClient,
    project: i64,
    uri: &ObjectUri<'_>,
    key: &str,
) -> Result<Option<(Holder, Vec<Candidate>)>> {
    let text = format!(
        "SELECT {HOLDER}, d.bytes AS data_bytes, {DATA}, {STORAGE}
           FROM storages s
          CROSS JOIN LATERAL (
                SELECT t.* FROM objects o
                 CROSS JOIN LATERAL (SELECT * FROM tasks WHERE id = o.task_id LIMIT 1) t
                 WHERE o.storage_id = s.id AND o.key = $4 AND t.project_id = $1
                 ORDER BY o.row_index LIMIT 1) t
          CROSS JOIN LATERAL (SELECT {} AS bytes OFFSET 0) d
          WHERE s.project_id = $1 AND {FITTING}
          ORDER BY s.id LIMIT 1",
        printed("t.data")
    );
    let setting = uri.form().bucket_setting();
    let rows = ask(client, &text, &[&project, &kinds(uri), &uri.bucket, &key, &setting]).await?;
    found(&rows)
}

/// All import storages of a project.
pub async fn connected(client: &impl GenericClient, project: i64) -> Result<Vec<Candidate>> {
    let text = format!("SELECT {STORAGE} FROM {} s", connected_to("$1"));
    candidates(&ask(client, &text, &[&project]).await?)
}

/// The local files that are connected to projects in `scope`; `None` is all projects.
pub async fn local_files(client: &impl GenericClient, scope: Option<&[i64]>) -> Result<Vec<Candidate>> {
    let text = format!(
        "SELECT {STORAGE} FROM storages s
          WHERE s.kind = 'localfiles' AND s.direction = 'import' AND ($1::bigint[] IS NULL OR s.project_id = ANY ($1))"
    );
    candidates(&ask(client, &text, &[&scope]).await?)
}

/// SQL for the import storages of a project, oldest first, up to [`MAX_SETTINGS`].
fn connected_to(project: &str) -> String {
    format!(
        "LATERAL (SELECT * FROM (
             SELECT *, sum(pg_column_size(settings) + coalesce(octet_length(secrets), 0)) OVER (ORDER BY id) AS bytes
               FROM storages WHERE project_id = {project} AND direction = 'import') each
           WHERE bytes <= {MAX_SETTINGS} ORDER BY id OFFSET 0)"
    )
}

async fn ask(client: &impl GenericClient, text: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
    let statement = client.prepare_cached(text).await?;
    Ok(client.query(&statement, values).await?)
}

fn kinds(uri: &ObjectUri<'_>) -> Vec<&'static str> {
    StorageKind::ALL.iter().filter(|kind| uri.may_be_on(**kind)).map(|kind| kind.as_str()).collect()
}

fn found(rows: &[Row]) -> Result<Option<(Holder, Vec<Candidate>)>> {
    let Some(first) = rows.first() else { return Ok(None) };
    let holder = Holder {
        id: first.get("id"),
        project_id: first.get("project_id"),
        data: rows.iter().find_map(|row| row.get("data")),
        data_bytes: first.get("data_bytes"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_and_the_constant_agree_on_what_is_small() {
        assert!(DATA.contains(&format!("d.bytes <= {SMALL_DATA} ")));
    }
}
