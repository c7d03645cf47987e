//! Google Cloud Storage: its fields in requests.

use longshore_model::{Connection, Direction, FailureReason, GcsConnection, Secrets, StorageKind};
use serde::Deserialize;
use utoipa::ToSchema;

use super::draft::{Draft, set};
use super::fields::{Fields, OTHER_KIND};
use super::kind::Kind;
use crate::api::error::NON_FIELD;

/// The kind `gcs`.
pub(crate) struct Gcs;

impl Kind for Gcs {
    fn kind(&self) -> StorageKind {
        StorageKind::Gcs
    }

    fn title(&self) -> &'static str {
        "Google Cloud Storage"
    }

    fn blank(&self, _: Direction) -> Connection {
        Connection::Gcs(GcsConnection::default())
    }

    fn connection_fields(&self) -> &'static [&'static str] {
        &["bucket", "prefix", "google_project_id"]
    }

    fn secret_fields(&self) -> &'static [&'static str] {
        &["google_application_credentials"]
    }

    fn read(&self, fields: &mut Fields, draft: &mut Draft, whole: bool) {
        let (Connection::Gcs(gcs), Secrets::Gcs(secrets)) = (&mut draft.settings.connection, &mut draft.secrets) else {
            return fields.refuse(NON_FIELD, OTHER_KIND);
        };
        fields.required("bucket", &mut gcs.bucket, whole);
        set(&mut gcs.prefix, fields.text("prefix"));
        set(&mut gcs.google_project_id, fields.word("google_project_id"));
        set(&mut secrets.google_application_credentials, fields.secret("google_application_credentials"));
    }

    fn field(&self, reason: FailureReason) -> &'static str {
        match reason {
            FailureReason::NoSuchBucket => "bucket",
            FailureReason::UnknownAccessKey | FailureReason::WrongSecretKey | FailureReason::MissingCredentials => {
                "google_application_credentials"
            }
            _ => NON_FIELD,
        }
    }
}

/// The own fields of a storage on Google Cloud Storage in a request.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "the fields are read one by one; this documents them")]
pub(crate) struct GcsFields {
    bucket: String,
    prefix: Option<String>,
    /// The JSON text of a service account's key file.
    google_application_credentials: Option<String>,
    google_project_id: Option<String>,
}
