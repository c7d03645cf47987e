//! How a storage is reached, by kind. Nothing here is secret.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::secrets::Secrets;
use crate::{Matched, Secret, StorageKind};

/// The part of the settings that differs by kind, tagged by `kind` in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Connection {
    S3(S3Connection),
    S3s(S3sConnection),
    Gcs(GcsConnection),
    Azure(AzureConnection),
    Redis(RedisConnection),
    Localfiles(LocalfilesConnection),
}

impl Connection {
    pub fn kind(&self) -> StorageKind {
        match self {
            Self::S3(_) => StorageKind::S3,
            Self::S3s(_) => StorageKind::S3s,
            Self::Gcs(_) => StorageKind::Gcs,
            Self::Azure(_) => StorageKind::Azure,
            Self::Redis(_) => StorageKind::Redis,
            Self::Localfiles(_) => StorageKind::Localfiles,
        }
    }

    /// What every key of the storage starts with, exactly: it is listed with this, and exported
    /// objects get their name right after it.
    ///
    /// Where keys have folders, what the user typed loses its trailing slashes and gains one, as
    /// Label Studio lists it; empty stays empty. Keys of Redis start with just what was typed.
    pub fn prefix(&self) -> String {
        match self {
            Self::S3(s3) => folder(s3.prefix.as_deref()),
            Self::S3s(s3s) => folder(s3s.s3.prefix.as_deref()),
            Self::Gcs(gcs) => folder(gcs.prefix.as_deref()),
            Self::Azure(azure) => folder(azure.prefix.as_deref()),
            Self::Redis(redis) => redis.path.clone().unwrap_or_default(),
            // Keys are whole paths.
            Self::Localfiles(files) => folder(Some(&files.path)),
        }
    }

    /// Whether `/` in a key makes a folder, which a scan may stay out of.
    pub fn has_folders(&self) -> bool {
        match self {
            Self::S3(_) | Self::S3s(_) | Self::Gcs(_) | Self::Azure(_) | Self::Localfiles(_) => true,
            Self::Redis(_) => false,
        }
    }

    /// Whether a URL can be signed that reads an object without further credentials.
    pub fn signs_urls(&self) -> bool {
        match self {
            Self::S3(_) | Self::S3s(_) | Self::Gcs(_) | Self::Azure(_) => true,
            Self::Redis(_) | Self::Localfiles(_) => false,
        }
    }

    /// What the filter expression is held against: keys of local files begin with where the folder
    /// lies, which nobody wants to write into an expression.
    pub fn matched(&self) -> Matched {
        match self {
            Self::Localfiles(_) => Matched::Name,
            Self::S3(_) | Self::S3s(_) | Self::Gcs(_) | Self::Azure(_) | Self::Redis(_) => Matched::Key,
        }
    }

    /// The server and account that the secrets belong to: secrets for one are of no use to another, and sending them
    /// there would give them away.
    pub fn server(&self, secrets: &Secrets) -> String {
        match (self, secrets) {
            (Self::S3(s3), _) => s3.s3_endpoint.clone().unwrap_or_default(),
            (Self::S3s(s3s), _) => s3s.s3.s3_endpoint.clone().unwrap_or_default(),
            (Self::Azure(azure), Secrets::Azure(secrets)) => {
                let account = secrets.account_name.as_ref().map(Secret::expose).unwrap_or_default();
                format!("{}\n{account}", azure.endpoint.as_deref().unwrap_or_default())
            }
            (Self::Azure(azure), _) => azure.endpoint.clone().unwrap_or_default(),
            (Self::Redis(redis), _) => format!("{}://{}", if redis.tls { "rediss" } else { "redis" }, redis.endpoint()),
            // One server for all buckets, and this machine.
            (Self::Gcs(_) | Self::Localfiles(_), _) => String::new(),
        }
    }

    /// Takes the fields that say who asks, and not for what, from a newer version of the same connection.
    pub fn take_identity(&mut self, newer: &Self) {
        match (self, newer) {
            (Self::S3s(s3s), Self::S3s(newer)) => {
                s3s.role_arn.clone_from(&newer.role_arn);
                s3s.external_id.clone_from(&newer.external_id);
            }
            (Self::Redis(redis), Self::Redis(newer)) => redis.username.clone_from(&newer.username),
            // Their identity is all in the secrets.
            (Self::S3(_) | Self::S3s(_) | Self::Gcs(_) | Self::Azure(_) | Self::Redis(_) | Self::Localfiles(_), _) => {}
        }
    }

    /// The key that written objects are encrypted with, where the kind has such a setting.
    pub fn kms_key_id(&self) -> Option<&str> {
        match self {
            Self::S3(s3) => s3.aws_sse_kms_key_id.as_deref(),
            Self::S3s(s3s) => s3s.s3.aws_sse_kms_key_id.as_deref(),
            Self::Gcs(_) | Self::Azure(_) | Self::Redis(_) | Self::Localfiles(_) => None,
        }
    }
}

fn folder(typed: Option<&str>) -> String {
    let trimmed = typed.unwrap_or_default().trim_end_matches('/');
    if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") }
}

/// How to reach a bucket of S3 or of a compatible store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct S3Connection {
    pub bucket: String,
    /// Exactly what the user typed. See [`Connection::prefix`] for what it becomes.
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

/// A bucket of S3 that is reached as an IAM role, which this process's own identity assumes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct S3sConnection {
    #[serde(flatten)]
    pub s3: S3Connection,
    #[serde(default)]
    pub role_arn: String,
    /// What the role's trust policy asks for; no secret, but the same for nobody else.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Kept for the host, which has such a switch; it changes nothing here.
    #[serde(default)]
    pub legacy_auth: Option<bool>,
}

/// How to reach a bucket of Google Cloud Storage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GcsConnection {
    pub bucket: String,
    /// Exactly what the user typed. See [`Connection::prefix`] for what it becomes.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Kept for the host, which has such a field; a bucket's name is enough to reach it.
    #[serde(default)]
    pub google_project_id: Option<String>,
}

/// How to reach a container of Azure Blob Storage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AzureConnection {
    pub container: String,
    /// Exactly what the user typed. See [`Connection::prefix`] for what it becomes.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Base URL of an emulator or of a sovereign cloud; `None` is the public cloud.
    #[serde(default)]
    pub endpoint: Option<String>,
}

/// How to reach a database of a Redis server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RedisConnection {
    /// What the keys start with.
    #[serde(default)]
    pub path: Option<String>,
    /// Defaults to `localhost`.
    #[serde(default)]
    pub host: Option<String>,
    /// A text, as the host has it; defaults to 6379.
    #[serde(default)]
    pub port: Option<String>,
    #[serde(default)]
    pub db: u16,
    /// Of an ACL user; `None` is the default user.
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub tls: bool,
}

impl RedisConnection {
    /// Host and port, with their defaults, as a URL has them.
    pub fn endpoint(&self) -> String {
        let given = |text: &Option<String>, default: &str| match text.as_deref().map(str::trim) {
            None | Some("") => default.to_owned(),
            Some(text) => text.to_owned(),
        };
        let (host, port) = (given(&self.host, "localhost"), given(&self.port, "6379"));
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") }
    }
}

/// A folder below the root that the operator opens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LocalfilesConnection {
    /// Absolute.
    pub path: String,
}
