//! Azure Blob Storage.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::field::{Field, Secrecy};
use super::kind::{KindConnection, KindData, KindSecrets, UriForm, are_blank, folder};
use super::shared_fields::{EXPORT, FOLDERS, IDENTITY, IMPORT, PREFIX, SIGNING, VERIFICATION};
use crate::{FailureReason, Secret};

/// The account key is bound to the endpoint: a signature covers the account and the path, but not the host, so a server
/// that receives a signed request could send it to the account.
const CONNECTION: &[Field] = &[
    Field::word("container", "Name of the container")
        .required()
        .example("\"my-container\"")
        .flag("container")
        .blamed_for(&[FailureReason::NoSuchBucket]),
    PREFIX,
    Field::secret("account_name", Secrecy::Plain, "Name of the storage account")
        .flag_or_env("account-name", "AZURE_BLOB_ACCOUNT_NAME")
        .blamed_for(&[FailureReason::UnknownAccessKey, FailureReason::OwnIdentityDenied]),
    Field::secret("account_key", Secrecy::Bound, "Key of the storage account")
        .flag_or_env("account-key", "AZURE_BLOB_ACCOUNT_KEY")
        .blamed_for(&[FailureReason::WrongSecretKey]),
    Field::word("endpoint", "Base URL of an emulator or of another cloud; without it, the public cloud")
        .flag("endpoint")
        .blamed_for(&[FailureReason::BlockedAddress, FailureReason::Tls]),
];

/// How to reach a container of Azure Blob Storage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AzureConnection {
    /// Name of the container.
    pub container: String,
    /// The prefix exactly as the user typed it. [`super::Connection::prefix`] returns the prefix of the keys.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Base URL of an emulator or of a sovereign cloud; `None` is the public cloud.
    #[serde(default)]
    pub endpoint: Option<String>,
}

/// A storage account; without it, the environment's account is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct AzureSecrets {
    /// Name of the account.
    #[serde(default)]
    pub account_name: Option<Secret>,
    /// One of the account's two keys, in base64.
    #[serde(default)]
    pub account_key: Option<Secret>,
}

impl KindConnection for AzureConnection {
    const DATA: KindData = KindData {
        title: "Microsoft Azure",
        about: "Azure Blob Storage",
        connection: &[CONNECTION],
        shared: &[FOLDERS, IMPORT, VERIFICATION, SIGNING, EXPORT, IDENTITY],
        place: "container",
        uri: UriForm::Bucket { scheme: "azure-blob://", setting: "container" },
        filters_names: false,
    };

    type Secrets = AzureSecrets;

    fn prefix(&self) -> String {
        folder(self.prefix.as_deref())
    }

    fn bucket(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.container)
    }

    fn address(&self) -> String {
        self.endpoint.clone().unwrap_or_default()
    }

    fn server(&self, secrets: &AzureSecrets) -> String {
        let account = secrets.account_name.as_ref().map(Secret::expose).unwrap_or_default();
        format!("{}\n{account}", self.address())
    }

    fn uses_own_identity(&self, secrets: &AzureSecrets) -> bool {
        are_blank(&secrets.texts())
    }
}

impl KindSecrets for AzureSecrets {
    fn texts(&self) -> Vec<(&'static str, Option<&Secret>)> {
        vec![("account_name", self.account_name.as_ref()), ("account_key", self.account_key.as_ref())]
    }
}
