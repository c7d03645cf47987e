//! Amazon S3 and compatible stores.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::field::{Field, Scope, Secrecy};
use super::kind::{KindConnection, KindData, KindSecrets, UriForm, are_blank, folder};
use super::shared_fields::{EXPORT, FOLDERS, IDENTITY, IMPORT, PREFIX, SIGNING, VERIFICATION};
use crate::{Direction, FailureReason, Secret};

/// The fields of the bucket, for all credential sources.
pub(super) const BUCKET: &[Field] = &[
    Field::word("bucket", "Name of the bucket")
        .required()
        .example("\"my-bucket\"")
        .flag("bucket")
        .blamed_for(&[FailureReason::NoSuchBucket]),
    PREFIX,
    Field::word(
        "region_name",
        "Region of the bucket. Without it, `AWS_REGION` or `AWS_DEFAULT_REGION` of the servers, then `us-east-1`",
    )
    .example("\"eu-central-1\"")
    .flag("region")
    .blamed_for(&[FailureReason::WrongRegion]),
    Field::word("s3_endpoint", "Base URL of a compatible store; without it, Amazon")
        .example("\"https://minio.example.com\"")
        .flag_or_env("endpoint", "S3_ENDPOINT")
        .blamed_for(&[FailureReason::BlockedAddress, FailureReason::Unreachable, FailureReason::Tls]),
    Field::word("aws_sse_kms_key_id", "KMS key that written objects are encrypted with (SSE-KMS)")
        .scope(Scope::UsedBy(Direction::Export))
        .flag("sse-kms-key-id"),
];

/// Long-lived or temporary access keys, bound to the endpoint.
///
/// A signature covers the host, but many compatible stores accept any host, so a server that receives a signed request
/// could send it to the bucket. It also receives the session token itself.
const KEYS: &[Field] = &[
    Field::secret("aws_access_key_id", Secrecy::Plain, "Access key ID")
        .flag_or_env("access-key-id", "S3_ACCESS_KEY_ID")
        .blamed_for(&[FailureReason::UnknownAccessKey, FailureReason::OwnIdentityDenied]),
    Field::secret("aws_secret_access_key", Secrecy::Bound, "Secret access key")
        .flag_or_env("secret-access-key", "S3_SECRET_ACCESS_KEY")
        .blamed_for(&[FailureReason::WrongSecretKey]),
    Field::secret("aws_session_token", Secrecy::Bound, "Session token of temporary keys")
        .flag_or_env("session-token", "S3_SESSION_TOKEN"),
];

/// How task data names an object of S3, for all credential sources.
pub(super) const URI: UriForm = UriForm::Bucket { scheme: "s3://", setting: "bucket" };

/// How to reach a bucket of S3 or of a compatible store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Connection {
    /// Name of the bucket.
    pub bucket: String,
    /// The prefix exactly as the user typed it. [`super::Connection::prefix`] returns the prefix of the keys.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Region of the bucket; by default that of the environment, then `us-east-1`.
    #[serde(default)]
    pub region_name: Option<String>,
    /// Base URL of a compatible store; `None` means AWS.
    #[serde(default)]
    pub s3_endpoint: Option<String>,
    /// Key ID for SSE-KMS on written objects.
    #[serde(default)]
    pub aws_sse_kms_key_id: Option<String>,
}

/// Long-lived or temporary access keys; without any, the environment or the default chain is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct S3Secrets {
    /// Access key ID.
    #[serde(default)]
    pub aws_access_key_id: Option<Secret>,
    /// Secret access key.
    #[serde(default)]
    pub aws_secret_access_key: Option<Secret>,
    /// Session token of temporary keys.
    #[serde(default)]
    pub aws_session_token: Option<Secret>,
}

impl KindConnection for S3Connection {
    const DATA: KindData = KindData {
        title: "AWS S3",
        about: "Amazon S3 or a compatible store, with keys or with the identity of the servers",
        connection: &[BUCKET, KEYS],
        shared: &[FOLDERS, IMPORT, VERIFICATION, SIGNING, EXPORT, IDENTITY],
        place: "bucket",
        uri: URI,
        filters_names: false,
    };

    type Secrets = S3Secrets;

    fn prefix(&self) -> String {
        folder(self.prefix.as_deref())
    }

    fn bucket(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.bucket)
    }

    fn address(&self) -> String {
        self.s3_endpoint.clone().unwrap_or_default()
    }

    fn uses_own_identity(&self, secrets: &S3Secrets) -> bool {
        are_blank(&secrets.texts())
    }

    fn kms_key_id(&self) -> Option<&str> {
        // Label Studio stores an empty field as an empty text.
        self.aws_sse_kms_key_id.as_deref().map(str::trim).filter(|id| !id.is_empty())
    }
}

impl KindSecrets for S3Secrets {
    fn texts(&self) -> Vec<(&'static str, Option<&Secret>)> {
        vec![
            ("aws_access_key_id", self.aws_access_key_id.as_ref()),
            ("aws_secret_access_key", self.aws_secret_access_key.as_ref()),
            ("aws_session_token", self.aws_session_token.as_ref()),
        ]
    }
}
