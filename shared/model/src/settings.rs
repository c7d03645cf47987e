//! What a user configures of a storage: how to reach it, what to take from it, how to write to it.

use serde::{Deserialize, Serialize};

use crate::{FilterError, KeyFilter, Secret, StorageKind};

/// Everything about a storage that is not secret; the `settings` column of table `storages`.
///
/// Field names and defaults are Label Studio's. Fields that the storage's direction does not use
/// keep their defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageSettings {
    /// Where it is and how it is reached, by kind.
    #[serde(flatten)]
    pub connection: Connection,
    /// Python regular expression matched at the start of the full key; `None` or empty takes all.
    #[serde(default)]
    pub regex_filter: Option<String>,
    /// "Treat every bucket object as a source file": one task per object, LIST only.
    #[serde(default)]
    pub use_blob_urls: bool,
    /// Whether keys below further `/` are taken too.
    #[serde(default)]
    pub recursive_scan: bool,
    /// Whether resolved URIs are signed (true) or proxied (false).
    #[serde(default = "yes")]
    pub presign: bool,
    /// Minutes a signed URL is valid.
    #[serde(default = "one_minute")]
    pub presign_ttl: u16,
    /// Export: whether the object of a deleted annotation is deleted too.
    /// `None` is no, and shown as null.
    #[serde(default)]
    pub can_delete_objects: Option<bool>,
    /// Export: one object per annotation (false) or per task (true).
    #[serde(default)]
    pub export_tasks: bool,
    /// Export: whether annotation objects are named `<id>.json` instead of `<id>`.
    #[serde(default)]
    pub json_suffix: bool,
}

const fn yes() -> bool {
    true
}

const fn one_minute() -> u16 {
    1
}

impl StorageSettings {
    /// The kind of the connection.
    pub fn kind(&self) -> StorageKind {
        match self.connection {
            Connection::S3(_) => StorageKind::S3,
        }
    }

    /// The filter that decides which listed keys a sync takes.
    ///
    /// # Errors
    /// The regular expression does not compile.
    pub fn key_filter(&self) -> Result<KeyFilter, FilterError> {
        let Connection::S3(s3) = &self.connection;
        KeyFilter::new(s3.prefix.as_deref().unwrap_or_default(), self.recursive_scan, self.regex_filter.as_deref())
    }
}

/// The part of the settings that differs by kind, tagged by `kind` in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Connection {
    S3(S3Connection),
}

/// How to reach a bucket of S3 or of a compatible store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Connection {
    pub bucket: String,
    /// Without leading treatment: exactly what the user typed. See [`KeyFilter`] for what it becomes.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Defaults to `us-east-1`, or what the environment says.
    #[serde(default)]
    pub region_name: Option<String>,
    /// Base URL of a compatible store; `None` is AWS.
    #[serde(default)]
    pub s3_endpoint: Option<String>,
    /// Key id for SSE-KMS on written objects.
    #[serde(default)]
    pub aws_sse_kms_key_id: Option<String>,
}

/// The secret fields of a storage, by kind. Sealed in column `secrets`, never serialized elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secrets {
    S3(S3Secrets),
}

impl Secrets {
    /// No secrets at all: the environment or the default chain.
    pub fn none(kind: StorageKind) -> Self {
        match kind {
            StorageKind::S3
            | StorageKind::S3s
            | StorageKind::Gcs
            | StorageKind::Azure
            | StorageKind::Redis
            | StorageKind::Localfiles => Self::S3(S3Secrets::default()),
        }
    }

    /// Reads the JSON that [`Secrets::write`] made, once it is unsealed.
    ///
    /// # Errors
    /// The text is not that of this kind; the error never shows it.
    pub fn read(kind: StorageKind, json: &Secret) -> Result<Self, UnreadableSecrets> {
        match kind {
            StorageKind::S3
            | StorageKind::S3s
            | StorageKind::Gcs
            | StorageKind::Azure
            | StorageKind::Redis
            | StorageKind::Localfiles => {
                serde_json::from_str(json.expose()).map(Self::S3).map_err(|_| UnreadableSecrets { kind })
            }
        }
    }

    /// The JSON to seal.
    pub fn write(&self) -> Secret {
        let Self::S3(s3) = self;
        let fields = [
            ("aws_access_key_id", &s3.aws_access_key_id),
            ("aws_secret_access_key", &s3.aws_secret_access_key),
            ("aws_session_token", &s3.aws_session_token),
        ];
        let json: serde_json::Map<String, serde_json::Value> = fields
            .into_iter()
            .filter_map(|(name, secret)| Some((name.to_owned(), secret.as_ref()?.expose().into())))
            .collect();
        Secret::new(serde_json::Value::Object(json).to_string())
    }
}

/// Unsealed secrets that are not those of their kind.
#[derive(Debug, thiserror::Error)]
#[error("the secrets are not those of a {kind} storage")]
pub struct UnreadableSecrets {
    kind: StorageKind,
}

/// Long-lived or temporary keys; all absent means the environment or the default chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct S3Secrets {
    #[serde(default)]
    pub aws_access_key_id: Option<Secret>,
    #[serde(default)]
    pub aws_secret_access_key: Option<Secret>,
    #[serde(default)]
    pub aws_session_token: Option<Secret>,
}

/// Which annotations an export sync writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExportOptions {
    #[serde(default)]
    pub mode: ExportMode,
    /// Only annotations of these tasks; empty means of every task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<i64>,
}

/// How an export sync chooses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportMode {
    /// Only what is new or changed since its last export.
    #[default]
    Changed,
    /// Everything, written again.
    All,
}
