//! A storage as an answer, the same for all kinds: what all have, how it is reached, what it is used for.

use jiff::Timestamp;
use longshore_db::storages::StorageRow;
use longshore_model::{
    AzureConnection, Connection, Direction, GcsConnection, LocalfilesConnection, RedisConnection, S3Connection,
    S3sConnection, StorageKind, StorageSettings, SyncStatus,
};
use serde::Serialize;
use utoipa::ToSchema;

/// A storage as an answer, in Label Studio's words. Secrets never come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StorageBody {
    id: i64,
    #[serde(rename = "type")]
    kind: StorageKind,
    synchronizable: bool,
    last_sync: Option<Timestamp>,
    last_sync_count: Option<i64>,
    /// The id of the last sync, see `/api/syncs`.
    last_sync_job: Option<String>,
    status: SyncStatus,
    traceback: Option<String>,
    #[schema(value_type = Object)]
    meta: serde_json::Value,
    title: Option<String>,
    description: Option<String>,
    created_at: Timestamp,
    #[serde(flatten)]
    connection: ConnectionBody,
    regex_filter: Option<String>,
    use_blob_urls: bool,
    #[serde(flatten)]
    purpose: Purpose,
    project: i64,
    /// In answers to PUT and PATCH: `next_sync`. A sync that is queued or running keeps the settings of its start; only
    /// changed credentials reach it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    applies_from: Option<&'static str>,
}

impl StorageBody {
    /// The same as the answer to a change.
    pub(crate) fn changed(self) -> Self {
        Self { applies_from: Some("next_sync"), ..self }
    }
}

/// How a storage is reached, by its `type`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum ConnectionBody {
    S3s(S3sConnection),
    S3(S3Connection),
    Gcs(GcsConnection),
    Azure(AzureConnection),
    Redis(RedisConnection),
    Localfiles(LocalfilesConnection),
}

/// What only import or only export has. A field is absent from kinds that have no such thing.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Purpose {
    Import {
        #[serde(skip_serializing_if = "Option::is_none")]
        presign: Option<bool>,
        /// Minutes.
        #[serde(skip_serializing_if = "Option::is_none")]
        presign_ttl: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        recursive_scan: Option<bool>,
    },
    Export {
        can_delete_objects: Option<bool>,
        /// One object per task instead of one per annotation.
        export_tasks: bool,
        /// Annotation objects are named `<id>.json` instead of `<id>`.
        json_suffix: bool,
    },
}

impl From<StorageRow> for StorageBody {
    fn from(row: StorageRow) -> Self {
        let purpose = Purpose::of(row.direction, &row.settings);
        Self {
            id: row.id,
            kind: row.kind,
            synchronizable: row.synchronizable,
            last_sync: row.last_sync,
            last_sync_count: row.last_sync_count,
            last_sync_job: row.last_sync_job,
            status: row.status,
            traceback: row.traceback,
            meta: row.meta,
            title: row.title,
            description: row.description,
            created_at: row.created_at,
            connection: row.settings.connection.into(),
            regex_filter: row.settings.regex_filter,
            use_blob_urls: row.settings.use_blob_urls,
            purpose,
            project: row.project_id,
            applies_from: None,
        }
    }
}

impl Purpose {
    fn of(direction: Direction, settings: &StorageSettings) -> Self {
        let (signs, has_folders) = (settings.connection.signs_urls(), settings.connection.has_folders());
        match direction {
            Direction::Import => Self::Import {
                presign: signs.then_some(settings.presign),
                presign_ttl: signs.then_some(settings.presign_ttl),
                recursive_scan: has_folders.then_some(settings.recursive_scan),
            },
            Direction::Export => Self::Export {
                can_delete_objects: settings.can_delete_objects,
                export_tasks: settings.export_tasks,
                json_suffix: settings.json_suffix,
            },
        }
    }
}

impl From<Connection> for ConnectionBody {
    fn from(connection: Connection) -> Self {
        match connection {
            Connection::S3(s3) => Self::S3(s3),
            Connection::S3s(s3s) => Self::S3s(s3s),
            Connection::Gcs(gcs) => Self::Gcs(gcs),
            Connection::Azure(azure) => Self::Azure(azure),
            Connection::Redis(redis) => Self::Redis(redis),
            Connection::Localfiles(files) => Self::Localfiles(files),
        }
    }
}

#[cfg(test)]
mod tests;
