//! The secret fields of a storage, by kind, and the JSON that is sealed.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Secret, StorageKind};

/// The secret fields of a storage, by kind. Sealed in column `secrets`, never serialized elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secrets {
    S3(S3Secrets),
    /// Has none: the process's own identity assumes the role.
    S3s,
    Gcs(GcsSecrets),
    Azure(AzureSecrets),
    Redis(RedisSecrets),
    /// Has none.
    Localfiles,
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

/// The JSON text of a service account; absent means the process's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct GcsSecrets {
    #[serde(default)]
    pub google_application_credentials: Option<Secret>,
}

/// A storage account; absent means the environment's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct AzureSecrets {
    #[serde(default)]
    pub account_name: Option<Secret>,
    #[serde(default)]
    pub account_key: Option<Secret>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct RedisSecrets {
    #[serde(default)]
    pub password: Option<Secret>,
}

impl Secrets {
    /// No secrets at all: the environment or the default chain.
    pub fn none(kind: StorageKind) -> Self {
        match kind {
            StorageKind::S3 => Self::S3(S3Secrets::default()),
            StorageKind::S3s => Self::S3s,
            StorageKind::Gcs => Self::Gcs(GcsSecrets::default()),
            StorageKind::Azure => Self::Azure(AzureSecrets::default()),
            StorageKind::Redis => Self::Redis(RedisSecrets::default()),
            StorageKind::Localfiles => Self::Localfiles,
        }
    }

    /// Reads the JSON that [`Secrets::write`] made, once it is unsealed.
    ///
    /// # Errors
    /// The text is not that of this kind; the error never shows it.
    pub fn read(kind: StorageKind, json: &Secret) -> Result<Self, UnreadableSecrets> {
        match kind {
            StorageKind::S3 => fields(kind, json).map(Self::S3),
            StorageKind::S3s => fields::<Map<String, Value>>(kind, json).map(|_| Self::S3s),
            StorageKind::Gcs => fields(kind, json).map(Self::Gcs),
            StorageKind::Azure => fields(kind, json).map(Self::Azure),
            StorageKind::Redis => fields(kind, json).map(Self::Redis),
            StorageKind::Localfiles => fields::<Map<String, Value>>(kind, json).map(|_| Self::Localfiles),
        }
    }

    /// The JSON to seal.
    pub fn write(&self) -> Secret {
        let fields = match self {
            Self::S3(s3) => vec![
                ("aws_access_key_id", &s3.aws_access_key_id),
                ("aws_secret_access_key", &s3.aws_secret_access_key),
                ("aws_session_token", &s3.aws_session_token),
            ],
            Self::Gcs(gcs) => vec![("google_application_credentials", &gcs.google_application_credentials)],
            Self::Azure(azure) => vec![("account_name", &azure.account_name), ("account_key", &azure.account_key)],
            Self::Redis(redis) => vec![("password", &redis.password)],
            Self::S3s | Self::Localfiles => Vec::new(),
        };
        let json: Map<String, Value> = fields
            .into_iter()
            .filter_map(|(name, secret)| Some((name.to_owned(), secret.as_ref()?.expose().into())))
            .collect();
        Secret::new(Value::Object(json).to_string())
    }
}

fn fields<T: DeserializeOwned>(kind: StorageKind, json: &Secret) -> Result<T, UnreadableSecrets> {
    serde_json::from_str(json.expose()).map_err(|_| UnreadableSecrets { kind })
}

/// Unsealed secrets that are not those of their kind.
#[derive(Debug, thiserror::Error)]
#[error("the secrets are not those of a {kind} storage")]
pub struct UnreadableSecrets {
    kind: StorageKind,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_every_kind_come_back_from_what_is_sealed() {
        let some = |text: &str| Some(Secret::new(text));
        let full = [
            Secrets::S3(S3Secrets {
                aws_access_key_id: some("a"),
                aws_secret_access_key: some("b"),
                aws_session_token: some("c"),
            }),
            Secrets::S3s,
            Secrets::Gcs(GcsSecrets { google_application_credentials: some("{\"type\": \"service_account\"}") }),
            Secrets::Azure(AzureSecrets { account_name: some("a"), account_key: some("b") }),
            Secrets::Redis(RedisSecrets { password: some("a\n\"") }),
            Secrets::Localfiles,
        ];
        for (kind, full) in StorageKind::ALL.iter().zip(full) {
            assert_eq!(Secrets::read(*kind, &full.write()).unwrap(), full);
            let none = Secrets::none(*kind);
            assert_eq!(Secrets::read(*kind, &none.write()).unwrap(), none);
            let error = Secrets::read(*kind, &Secret::new("[\"hunter2\"")).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("hunter2"));
        }
    }
}
