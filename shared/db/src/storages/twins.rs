//! Storages with the same place: the same bucket, container, database or folder of the same server and account.

use longshore_model::{Connection, Direction, StorageSettings};
use tokio_postgres::types::ToSql;

use super::write::digest;
use crate::row::word;
use crate::{Error, GenericClient, Result};

/// The most twins that are read. People make a few.
const MOST: i64 = 100;

/// A storage with the same place as another one.
#[derive(Debug, Clone)]
pub struct Twin {
    /// ID of the storage.
    pub id: i64,
    /// ID of its project.
    pub project_id: i64,
    /// Import or export.
    pub direction: Direction,
    /// Everything that users set, without secrets.
    pub settings: StorageSettings,
}

/// The storages of these projects with the place of a connection, newest first, at most 100. `projects` of `None` means all;
/// `server` is [`Connection::server`] of the connection.
pub async fn twins(
    client: &impl GenericClient,
    settings: &StorageSettings,
    server: &str,
    projects: Option<&[i64]>,
) -> Result<Vec<Twin>> {
    let (field, value) = match &settings.connection {
        Connection::S3(s3) => ("bucket", s3.bucket.clone()),
        Connection::S3s(s3s) => ("bucket", s3s.s3.bucket.clone()),
        Connection::Gcs(gcs) => ("bucket", gcs.bucket.clone()),
        Connection::Azure(azure) => ("container", azure.container.clone()),
        Connection::Redis(redis) => ("db", redis.db.to_string()),
        Connection::Localfiles(files) => ("path", files.path.clone()),
    };
    let text = "SELECT id, project_id, direction, settings::text AS settings FROM storages
                 WHERE kind = $1 AND server = $2 AND settings ->> $3 = $4
                   AND ($5::bigint[] IS NULL OR project_id = ANY ($5)) ORDER BY id DESC LIMIT $6";
    let statement = client.prepare_cached(text).await?;
    let (kind, server) = (settings.kind().as_str(), digest(server));
    let values: [&(dyn ToSql + Sync); 6] = [&kind, &server, &field, &value, &projects, &MOST];
    let rows = client.query(&statement, &values).await?;
    let read = |row: &tokio_postgres::Row| -> Result<Twin> {
        Ok(Twin {
            id: row.get("id"),
            project_id: row.get("project_id"),
            direction: word(row, "direction")?,
            settings: serde_json::from_str(row.get("settings"))
                .map_err(|error| Error::unreadable("storages.settings", error))?,
        })
    };
    rows.iter().map(read).collect()
}
