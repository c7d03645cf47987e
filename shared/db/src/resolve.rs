//! Reads for resolving a URI: the task whose data has the URI, and the storages that may have its object. One statement
//! per request, prepared once per database connection.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::GenericClient;
use longshore_model::{Secrets, StorageKind, StorageSettings};
use longshore_uri::ObjectUri;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::printed::printed;
use crate::{Error, Result, SealedSecrets};

/// An import storage that may have the object of a URI.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// ID of the storage.
    pub id: i64,
    /// ID of its project.
    pub project_id: i64,
    /// Everything that users set, without secrets.
    pub settings: StorageSettings,
    /// The JSON text of the settings. A cache of opened storages compares it: another text means that they changed.
    pub settings_text: String,
    /// Its secret fields.
    pub secrets: CandidateSecrets,
}

/// The secret fields of a storage, as its host stores them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CandidateSecrets {
    /// It has none.
    None,
    /// Sealed with a key of Longshore.
    Sealed(SealedSecrets),
    /// Read from the host's tables. In memory only.
    Open(Secrets),
}

/// A task whose data has URIs to resolve.
#[derive(Debug, Clone)]
pub struct Holder {
    /// ID of the task.
    pub id: i64,
    /// The task's project.
    pub project_id: i64,
    /// JSON text. `None` if the caller did not request it, or if it is larger than [`SMALL_DATA`]: see [`data`].
    pub data: Option<String>,
    /// Bytes of the data as printed. `None` if the caller did not request it.
    pub data_bytes: Option<i64>,
    /// ID of the storage it was imported from. `None` if no import made it.
    pub storage_id: Option<i64>,
    /// The key it was imported from. `None` if `storage_id` is `None`.
    pub storage_key: Option<String>,
}

/// Data of at most this many bytes is read together with its task. Larger data is read when the caller has memory for
/// it.
///
/// Nearly all tasks are smaller, and 1,000 parallel requests hold at most 64 MiB of it.
pub const SMALL_DATA: i64 = 64 * 1024;

/// The most bytes of storage settings that one request reads. A storage has about 500 bytes, so a project with more
/// than about 8,000 storages resolves only by its oldest ones.
pub(crate) const MAX_SETTINGS: i64 = 4 * 1024 * 1024;

/// The storages of a project that may have the object: of these kinds, and with the URI's bucket in setting `$5`. `$5` is
/// null where no single setting is the bucket.
const FITTING: &str = "s.direction = 'import' AND s.kind = ANY ($2)
    AND ($5::text IS NULL OR s.settings ->> $5 = $3)";

const STORAGE: &str =
    "s.id AS storage, s.project_id AS storage_project, s.settings::text AS settings, s.secrets, s.secrets_key_id";

/// The data, if it is small. Only the first row has it, however many storages the task's project has.
const DATA: &str = "CASE WHEN row_number() OVER () = 1 AND d.bytes <= 65536 THEN t.data::text END AS data";

const HOLDER: &str = "t.id, t.project_id, t.storage_id, t.storage_key";

/// A task and the import storages of its project that may have the object of a URI. `None` if the task does not exist.
///
/// The task's data is only read if `with_data` is true.
///
/// # Errors
/// Postgres cannot print the data.
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
    let rows = query(client, &text, &[&task, &kinds(uri), &uri.bucket, &with_data, &setting]).await?;
    read_task(&rows)
}

/// A task and all import storages of its project. `None` if the task does not exist.
///
/// # Errors
/// Postgres cannot print the data.
pub async fn whole_task(client: &impl GenericClient, task: i64) -> Result<Option<(Holder, Vec<Candidate>)>> {
    let text = format!(
        "SELECT {HOLDER}, d.bytes AS data_bytes, {DATA}, {STORAGE}
           FROM tasks t
          CROSS JOIN LATERAL (SELECT {} AS bytes OFFSET 0) d
           LEFT JOIN {} s ON true
          WHERE t.id = $1",
        printed("t.data"),
        import_storages_of("t.project_id")
    );
    read_task(&query(client, &text, &[&task]).await?)
}

/// The data of a task as JSON text, however large. `None` if the task does not exist.
///
/// # Errors
/// Postgres cannot print it.
pub async fn data(client: &impl GenericClient, task: i64) -> Result<Option<String>> {
    let row = client.query_opt("SELECT data::text FROM tasks WHERE id = $1", &[&task]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// The task that was made from an object, with the storage that it was imported from. `None` if no import storage of
/// the project that fits the URI has made a task from it.
///
/// `key` is the key in the ledger; for local files it differs from the URI. The limits make Postgres look up each
/// storage and each item by key. As a plain join, the statement may read all tasks of the project.
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
    let rows = query(client, &text, &[&project, &kinds(uri), &uri.bucket, &key, &setting]).await?;
    read_task(&rows)
}

/// All import storages of a project, oldest first, up to a limit on the bytes of their settings.
pub async fn import_storages(client: &impl GenericClient, project: i64) -> Result<Vec<Candidate>> {
    let text = format!("SELECT {STORAGE} FROM {} s", import_storages_of("$1"));
    candidates(&query(client, &text, &[&project]).await?)
}

/// The import storages of kind `localfiles` in the projects of `scope`; `None` means all projects.
pub async fn local_files(client: &impl GenericClient, scope: Option<&[i64]>) -> Result<Vec<Candidate>> {
    let text = format!(
        "SELECT {STORAGE} FROM storages s
          WHERE s.kind = 'localfiles' AND s.direction = 'import' AND ($1::bigint[] IS NULL OR s.project_id = ANY ($1))"
    );
    candidates(&query(client, &text, &[&scope]).await?)
}

/// SQL for the import storages of a project, oldest first, up to [`MAX_SETTINGS`].
fn import_storages_of(project: &str) -> String {
    format!(
        "LATERAL (SELECT * FROM (
             SELECT *, sum(pg_column_size(settings) + coalesce(octet_length(secrets), 0)) OVER (ORDER BY id) AS bytes
               FROM storages WHERE project_id = {project} AND direction = 'import') each
           WHERE bytes <= {MAX_SETTINGS} ORDER BY id OFFSET 0)"
    )
}

async fn query(client: &impl GenericClient, text: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
    let statement = client.prepare_cached(text).await?;
    Ok(client.query(&statement, values).await?)
}

fn kinds(uri: &ObjectUri<'_>) -> Vec<&'static str> {
    StorageKind::ALL.iter().filter(|kind| uri.may_be_on(**kind)).map(|kind| kind.as_str()).collect()
}

fn read_task(rows: &[Row]) -> Result<Option<(Holder, Vec<Candidate>)>> {
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

/// Reads the storages of the rows. A task without storages has one row without a storage.
fn candidates(rows: &[Row]) -> Result<Vec<Candidate>> {
    let mut candidates = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(id) = row.get("storage") else { continue };
        let settings_text: String = row.get("settings");
        let settings =
            serde_json::from_str(&settings_text).map_err(|error| Error::unreadable("storages.settings", error))?;
        let (bytes, key_id): (Option<Vec<u8>>, Option<String>) = (row.get("secrets"), row.get("secrets_key_id"));
        let sealed = bytes.zip(key_id).map(|(bytes, key_id)| SealedSecrets { key_id, bytes });
        let secrets = sealed.map_or(CandidateSecrets::None, CandidateSecrets::Sealed);
        candidates.push(Candidate { id, project_id: row.get("storage_project"), settings, settings_text, secrets });
    }
    Ok(candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_and_the_constant_have_the_same_limit() {
        assert!(DATA.contains(&format!("d.bytes <= {SMALL_DATA} ")));
    }
}
