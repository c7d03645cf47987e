//! Amazon S3 and compatible stores: their fields in requests and answers.

use chrono::{DateTime, Utc};
use longshore_db::storages::StorageRow;
use longshore_model::{Connection, Direction, FailureReason, S3Connection, Secrets, StorageKind, SyncStatus};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::draft::{Draft, set};
use super::fields::{Fields, OTHER_KIND};
use super::kind::{Kind, StorageBody, mixed_up};
use crate::api::error::{ApiResult, NON_FIELD};

/// The kind `s3`.
pub(crate) struct S3;

impl Kind for S3 {
    fn kind(&self) -> StorageKind {
        StorageKind::S3
    }

    fn title(&self) -> &'static str {
        "AWS S3"
    }

    fn blank(&self, _: Direction) -> Connection {
        Connection::S3(S3Connection::default())
    }

    fn read(&self, fields: &mut Fields, draft: &mut Draft, whole: bool) {
        let (Connection::S3(s3), Secrets::S3(secrets)) = (&mut draft.settings.connection, &mut draft.secrets) else {
            return fields.refuse(NON_FIELD, OTHER_KIND);
        };
        read_bucket(fields, s3, whole);
        set(&mut secrets.aws_access_key_id, fields.secret("aws_access_key_id"));
        set(&mut secrets.aws_secret_access_key, fields.secret("aws_secret_access_key"));
        set(&mut secrets.aws_session_token, fields.secret("aws_session_token"));
    }

    fn is_connection_field(&self, field: &str) -> bool {
        is_bucket_field(field) || self.is_secret_field(field)
    }

    fn is_secret_field(&self, field: &str) -> bool {
        matches!(field, "aws_access_key_id" | "aws_secret_access_key" | "aws_session_token")
    }

    fn field(&self, reason: FailureReason) -> &'static str {
        match reason {
            FailureReason::UnknownAccessKey => "aws_access_key_id",
            FailureReason::WrongSecretKey => "aws_secret_access_key",
            reason => bucket_field(reason),
        }
    }

    fn show(&self, row: StorageRow) -> ApiResult<StorageBody> {
        let Connection::S3(s3) = row.settings.connection.clone() else { return Err(mixed_up(row.id)) };
        Ok(StorageBody::S3(bucket_body(row, s3)))
    }
}

/// A storage on a bucket, without its credentials.
pub(super) fn bucket_body(row: StorageRow, s3: S3Connection) -> S3Body {
    match row.direction {
        Direction::Import => S3Body::Import(S3Import {
            id: row.id,
            kind: row.kind,
            synchronizable: row.synchronizable,
            presign: row.settings.presign,
            last_sync: row.last_sync,
            last_sync_count: row.last_sync_count,
            last_sync_job: row.last_sync_job,
            status: row.status,
            traceback: row.traceback,
            meta: row.meta,
            title: row.title,
            description: row.description,
            created_at: row.created_at,
            bucket: s3.bucket,
            prefix: s3.prefix,
            regex_filter: row.settings.regex_filter,
            use_blob_urls: row.settings.use_blob_urls,
            aws_sse_kms_key_id: s3.aws_sse_kms_key_id,
            region_name: s3.region_name,
            s3_endpoint: s3.s3_endpoint,
            presign_ttl: row.settings.presign_ttl,
            recursive_scan: row.settings.recursive_scan,
            project: row.project_id,
        }),
        Direction::Export => S3Body::Export(S3Export {
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
            can_delete_objects: row.settings.can_delete_objects,
            bucket: s3.bucket,
            prefix: s3.prefix,
            regex_filter: row.settings.regex_filter,
            use_blob_urls: row.settings.use_blob_urls,
            aws_sse_kms_key_id: s3.aws_sse_kms_key_id,
            region_name: s3.region_name,
            s3_endpoint: s3.s3_endpoint,
            project: row.project_id,
            export_tasks: row.settings.export_tasks,
            json_suffix: row.settings.json_suffix,
        }),
    }
}

/// Reads the fields that say which bucket it is and where, however its credentials come.
pub(super) fn read_bucket(fields: &mut Fields, s3: &mut S3Connection, whole: bool) {
    fields.required("bucket", &mut s3.bucket, whole);
    set(&mut s3.prefix, fields.text("prefix"));
    set(&mut s3.region_name, fields.word("region_name"));
    set(&mut s3.aws_sse_kms_key_id, fields.word("aws_sse_kms_key_id"));
    set(&mut s3.s3_endpoint, fields.word("s3_endpoint"));
}

/// Whether [`read_bucket`] reads the field.
pub(super) fn is_bucket_field(field: &str) -> bool {
    matches!(field, "bucket" | "prefix" | "region_name" | "s3_endpoint" | "aws_sse_kms_key_id")
}

/// The field of a bucket to blame for a connection that fails so.
pub(super) fn bucket_field(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::NoSuchBucket => "bucket",
        FailureReason::WrongRegion => "region_name",
        FailureReason::BlockedAddress | FailureReason::Unreachable | FailureReason::Tls => "s3_endpoint",
        _ => NON_FIELD,
    }
}

/// A storage on S3 as an answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum S3Body {
    Import(S3Import),
    Export(S3Export),
}

/// An import storage on S3. The order of the fields is Label Studio's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct S3Import {
    id: i64,
    #[serde(rename = "type")]
    kind: StorageKind,
    synchronizable: bool,
    presign: bool,
    last_sync: Option<DateTime<Utc>>,
    last_sync_count: Option<i64>,
    /// The id of the last sync, see `/api/syncs`.
    last_sync_job: Option<String>,
    status: SyncStatus,
    traceback: Option<String>,
    #[schema(value_type = Object)]
    meta: serde_json::Value,
    title: Option<String>,
    description: Option<String>,
    created_at: DateTime<Utc>,
    bucket: String,
    prefix: Option<String>,
    regex_filter: Option<String>,
    use_blob_urls: bool,
    aws_sse_kms_key_id: Option<String>,
    region_name: Option<String>,
    s3_endpoint: Option<String>,
    presign_ttl: u16,
    recursive_scan: bool,
    project: i64,
}

/// An export storage on S3. The order of the fields is Label Studio's, its own extras come last.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct S3Export {
    id: i64,
    #[serde(rename = "type")]
    kind: StorageKind,
    synchronizable: bool,
    last_sync: Option<DateTime<Utc>>,
    last_sync_count: Option<i64>,
    /// The id of the last sync, see `/api/syncs`.
    last_sync_job: Option<String>,
    status: SyncStatus,
    traceback: Option<String>,
    #[schema(value_type = Object)]
    meta: serde_json::Value,
    title: Option<String>,
    description: Option<String>,
    created_at: DateTime<Utc>,
    can_delete_objects: Option<bool>,
    bucket: String,
    prefix: Option<String>,
    regex_filter: Option<String>,
    use_blob_urls: bool,
    aws_sse_kms_key_id: Option<String>,
    region_name: Option<String>,
    s3_endpoint: Option<String>,
    project: i64,
    /// One object per task instead of one per annotation.
    export_tasks: bool,
    /// Annotation objects are named `<id>.json` instead of `<id>`.
    json_suffix: bool,
}

/// The fields of an S3 storage in a request. All but `project` and `bucket` may be left out.
#[derive(Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "the fields are read one by one, so that every fault is named at once; this documents them"
)]
pub(crate) struct S3Fields {
    project: i64,
    title: Option<String>,
    description: Option<String>,
    synchronizable: Option<bool>,
    bucket: String,
    prefix: Option<String>,
    /// Python regular expression, matched at the start of the full key.
    regex_filter: Option<String>,
    /// Every object becomes one task that names it; otherwise objects hold tasks as JSON.
    use_blob_urls: Option<bool>,
    region_name: Option<String>,
    /// Base URL of a compatible store.
    s3_endpoint: Option<String>,
    aws_access_key_id: Option<String>,
    aws_secret_access_key: Option<String>,
    aws_session_token: Option<String>,
    aws_sse_kms_key_id: Option<String>,
    /// Import only.
    recursive_scan: Option<bool>,
    /// Import only.
    presign: Option<bool>,
    /// Import only: minutes, 0 to 32767.
    presign_ttl: Option<u16>,
    /// Export only.
    can_delete_objects: Option<bool>,
    /// Export only.
    export_tasks: Option<bool>,
    /// Export only.
    json_suffix: Option<bool>,
    /// `validate` and `files` only: the storage whose stored secrets are used where none are sent.
    id: Option<i64>,
    /// `files` only: how many keys to show.
    limit: Option<u16>,
}

#[cfg(test)]
mod tests;
