//! Amazon S3 and compatible stores: their fields in requests.

use longshore_model::{Connection, Direction, FailureReason, S3Connection, Secrets, StorageKind};
use serde::Deserialize;
use utoipa::ToSchema;

use super::draft::{Draft, set};
use super::fields::{Fields, OTHER_KIND};
use super::kind::Kind;
use crate::api::error::NON_FIELD;

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

    fn connection_fields(&self) -> &'static [&'static str] {
        BUCKET_FIELDS
    }

    fn secret_fields(&self) -> &'static [&'static str] {
        &["aws_access_key_id", "aws_secret_access_key", "aws_session_token"]
    }

    fn field(&self, reason: FailureReason) -> &'static str {
        match reason {
            FailureReason::UnknownAccessKey => "aws_access_key_id",
            FailureReason::WrongSecretKey => "aws_secret_access_key",
            reason => bucket_field(reason),
        }
    }
}

/// The fields that [`read_bucket`] reads.
const BUCKET_FIELDS: &[&str] = &["bucket", "prefix", "region_name", "s3_endpoint", "aws_sse_kms_key_id"];

/// Reads the fields that say which bucket it is and where, however its credentials come.
pub(super) fn read_bucket(fields: &mut Fields, s3: &mut S3Connection, whole: bool) {
    fields.required("bucket", &mut s3.bucket, whole);
    set(&mut s3.prefix, fields.text("prefix"));
    set(&mut s3.region_name, fields.word("region_name"));
    set(&mut s3.aws_sse_kms_key_id, fields.word("aws_sse_kms_key_id"));
    set(&mut s3.s3_endpoint, fields.word("s3_endpoint"));
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

/// The own fields of an S3 storage in a request.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "the fields are read one by one; this documents them")]
pub(crate) struct S3Fields {
    bucket: String,
    prefix: Option<String>,
    region_name: Option<String>,
    /// Base URL of a compatible store.
    s3_endpoint: Option<String>,
    aws_access_key_id: Option<String>,
    aws_secret_access_key: Option<String>,
    aws_session_token: Option<String>,
    /// Export only.
    aws_sse_kms_key_id: Option<String>,
}

#[cfg(test)]
mod tests;
