//! Google Cloud Storage.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::field::{Field, Secrecy};
use super::kind::{KindConnection, KindData, KindSecrets, UriForm, are_blank, folder};
use super::shared_fields::{EXPORT, FOLDERS, IDENTITY, IMPORT, PREFIX, SIGNING, VERIFICATION};
use crate::{FailureReason, Secret};

const CONNECTION: &[Field] = &[
    Field::word("bucket", "Name of the bucket, without `gs://`")
        .required()
        .example("\"my-bucket\"")
        .flag("bucket")
        .blamed_for(&[FailureReason::NoSuchBucket]),
    PREFIX,
    Field::secret(
        "google_application_credentials",
        Secrecy::KeyFile,
        "JSON of a service account's key file; without it, the identity of the servers is used",
    )
    .flag_value("credentials-file", "FILE")
    .blamed_for(&[
        FailureReason::UnknownAccessKey,
        FailureReason::WrongSecretKey,
        FailureReason::MissingCredentials,
        FailureReason::OwnIdentityDenied,
    ]),
    Field::word(
        "google_project_id",
        "Stored and shown, but has no effect: the name of the bucket is enough to reach it",
    )
    .flag_value("google-project", "ID"),
];

/// How to reach a bucket of Google Cloud Storage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcsConnection {
    /// Name of the bucket.
    pub bucket: String,
    /// The prefix exactly as the user typed it. [`super::Connection::prefix`] returns the prefix of the keys.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Stored because the host has such a field; it has no effect.
    #[serde(default)]
    pub google_project_id: Option<String>,
}

/// The JSON text of a service account; without it, the identity of the process is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct GcsSecrets {
    /// The text of its key file.
    #[serde(default)]
    pub google_application_credentials: Option<Secret>,
}

impl KindConnection for GcsConnection {
    const DATA: KindData = KindData {
        title: "Google Cloud Storage",
        about: "Google Cloud Storage",
        connection: &[CONNECTION],
        shared: &[FOLDERS, IMPORT, VERIFICATION, SIGNING, EXPORT, IDENTITY],
        place: "bucket",
        uri: UriForm::Bucket { scheme: "gs://", setting: "bucket" },
        filters_names: false,
    };

    type Secrets = GcsSecrets;

    fn prefix(&self) -> String {
        folder(self.prefix.as_deref())
    }

    fn bucket(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.bucket)
    }

    fn uses_own_identity(&self, secrets: &GcsSecrets) -> bool {
        are_blank(&secrets.texts())
    }
}

impl KindSecrets for GcsSecrets {
    fn texts(&self) -> Vec<(&'static str, Option<&Secret>)> {
        vec![("google_application_credentials", self.google_application_credentials.as_ref())]
    }
}
