//! The `projects` table of the native host.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use jiff::Timestamp;
use tokio_postgres::Row;

use crate::{GenericClient, Result, Transaction};

/// A project: a set of tasks, and how they are labeled.
#[derive(Debug, Clone)]
pub struct ProjectRow {
    /// ID of the project.
    pub id: i64,
    /// A name for people. Written by users.
    pub title: String,
    /// The label config as the user wrote it, not always valid XML. `None` if it did not fit into the result page.
    pub label_config: Option<String>,
    /// The external ID with which roles are assumed for its storages. Made by the database, and never changes.
    pub external_id: String,
    /// When it was created, by the database clock.
    pub created_at: Timestamp,
    /// When it was last changed, by the database clock.
    pub updated_at: Timestamp,
}

const COLUMNS: &str = "id, title, label_config, external_id, created_at, updated_at";

fn read(row: &Row) -> ProjectRow {
    ProjectRow {
        id: row.get("id"),
        title: row.get("title"),
        label_config: row.get("label_config"),
        external_id: row.get("external_id"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}

/// Adds a project. Without a label config it gets an empty one.
pub async fn insert(client: &impl GenericClient, title: &str, label_config: Option<&str>) -> Result<ProjectRow> {
    let row = client
        .query_one(
            &format!(
                "INSERT INTO projects (title, label_config) VALUES ($1, coalesce($2, '<View></View>'))
                 RETURNING {COLUMNS}"
            ),
            &[&title, &label_config],
        )
        .await?;
    Ok(read(&row))
}

/// Adds the row that foreign keys of a host's project need, if it is missing. The project itself is in the host.
pub(crate) async fn stand_in(client: &impl GenericClient, id: i64) -> Result<()> {
    client.execute("INSERT INTO projects (id, title) VALUES ($1, '') ON CONFLICT (id) DO NOTHING", &[&id]).await?;
    Ok(())
}

/// One project, or `None` if it does not exist.
pub async fn get(client: &impl GenericClient, id: i64) -> Result<Option<ProjectRow>> {
    let row = client.query_opt(&format!("SELECT {COLUMNS} FROM projects WHERE id = $1"), &[&id]).await?;
    Ok(row.as_ref().map(read))
}

/// The bytes of a project's label config, or `None` if the project does not exist.
pub async fn size(client: &impl GenericClient, id: i64) -> Result<Option<i64>> {
    let statement =
        client.prepare_cached("SELECT octet_length(label_config)::bigint FROM projects WHERE id = $1").await?;
    Ok(client.query_opt(&statement, &[&id]).await?.map(|row| row.get(0)))
}

/// The external ID of a project, or `None` if the project does not exist.
pub async fn external_id(client: &impl GenericClient, id: i64) -> Result<Option<String>> {
    let row = client.query_opt("SELECT external_id FROM projects WHERE id = $1", &[&id]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// Number of projects in `scope`; `None` means all projects.
pub async fn count(client: &impl GenericClient, scope: Option<&[i64]>) -> Result<i64> {
    let row = client
        .query_one("SELECT count(*) FROM projects WHERE $1::bigint[] IS NULL OR id = ANY ($1)", &[&scope])
        .await?;
    Ok(row.get(0))
}

/// One page of the projects in `scope` (`None` means all), newest first.
///
/// Pages are numbered, so each page has all of its projects. Label configs beyond `most` bytes are left out.
pub async fn list(
    client: &impl GenericClient,
    scope: Option<&[i64]>,
    offset: i64,
    limit: i64,
    most: i64,
) -> Result<Vec<ProjectRow>> {
    // `octet_length` reads only the lengths of the texts.
    let rows = client
        .query(
            "SELECT id, title, CASE WHEN number = 1 OR bytes <= $4 THEN label_config END AS label_config,
                    external_id, created_at, updated_at
               FROM (SELECT page.*, row_number() OVER (ORDER BY id DESC) AS number,
                            sum(octet_length(label_config)) OVER (ORDER BY id DESC) AS bytes
                       FROM (SELECT * FROM projects WHERE $1::bigint[] IS NULL OR id = ANY ($1)
                              ORDER BY id DESC OFFSET $2 LIMIT $3) page) sized
              ORDER BY id DESC",
            &[&scope, &offset, &limit, &most],
        )
        .await?;
    Ok(rows.iter().map(read).collect())
}

/// Changes the fields that are given. Returns `None` if the project does not exist.
pub async fn update(
    tx: &Transaction<'_>,
    id: i64,
    title: Option<&str>,
    label_config: Option<&str>,
) -> Result<Option<ProjectRow>> {
    let row = tx
        .query_opt(
            &format!(
                "UPDATE projects SET title = coalesce($2, title), label_config = coalesce($3, label_config),
                        updated_at = now()
                  WHERE id = $1 RETURNING {COLUMNS}"
            ),
            &[&id, &title, &label_config],
        )
        .await?;
    Ok(row.as_ref().map(read))
}

/// Locks a project until the transaction ends: no storage or task is added to it meanwhile. Returns false if it does not
/// exist.
pub(crate) async fn lock(tx: &Transaction<'_>, id: i64) -> Result<bool> {
    Ok(tx.query_opt("SELECT FROM projects WHERE id = $1 FOR UPDATE", &[&id]).await?.is_some())
}

/// Deletes a project without storages.
pub(crate) async fn delete(tx: &Transaction<'_>, id: i64) -> Result<()> {
    tx.execute("DELETE FROM projects WHERE id = $1", &[&id]).await?;
    Ok(())
}
