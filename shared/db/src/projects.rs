//! The `projects` table of the native host.

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use crate::Result;

/// A project: tasks, and how they are labeled.
#[derive(Debug, Clone)]
pub struct ProjectRow {
    pub id: i64,
    pub title: String,
    /// The label config as the user wrote it: XML, or not.
    pub label_config: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

const COLUMNS: &str = "id, title, label_config, created_at, updated_at";

fn read(row: &Row) -> ProjectRow {
    ProjectRow {
        id: row.get("id"),
        title: row.get("title"),
        label_config: row.get("label_config"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}

/// Adds a project; without a label config it gets the empty one.
///
/// # Errors
/// The database is away.
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

/// One project, or `None`.
///
/// # Errors
/// The database is away.
pub async fn get(client: &impl GenericClient, id: i64) -> Result<Option<ProjectRow>> {
    let row = client.query_opt(&format!("SELECT {COLUMNS} FROM projects WHERE id = $1"), &[&id]).await?;
    Ok(row.as_ref().map(read))
}

/// One page of the projects in `scope` (`None` is all), newest first, and how many there are in all.
///
/// # Errors
/// The database is away.
pub async fn list(
    client: &impl GenericClient,
    scope: Option<&[i64]>,
    offset: i64,
    limit: i64,
) -> Result<(Vec<ProjectRow>, i64)> {
    let count = client
        .query_one("SELECT count(*) FROM projects WHERE $1::bigint[] IS NULL OR id = ANY ($1)", &[&scope])
        .await?
        .get(0);
    let rows = client
        .query(
            &format!(
                "SELECT {COLUMNS} FROM projects WHERE $1::bigint[] IS NULL OR id = ANY ($1)
                  ORDER BY id DESC OFFSET $2 LIMIT $3"
            ),
            &[&scope, &offset, &limit],
        )
        .await?;
    Ok((rows.iter().map(read).collect(), count))
}
