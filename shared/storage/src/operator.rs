//! The operator's environment variables for storages.

use std::path::PathBuf;

use longshore_model::Secret;
use longshore_telemetry::settings::{Environment, Program, table};

/// Defaults and permissions that only the operator sets. The AWS SDK reads all `AWS_*` variables except the region
/// itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// `AWS_REGION`, or else `AWS_DEFAULT_REGION`: the region of buckets whose storage sets none.
    pub region: Option<String>,
    /// `GOOGLE_APPLICATION_CREDENTIALS`: a file with the credentials for storages that have none.
    pub google_application_credentials: Option<PathBuf>,
    /// `STORAGE_EMULATOR_HOST`: the address of Google Cloud Storage, as a URL or `host:port`; `None` is Google's.
    pub storage_emulator_host: Option<String>,
    /// `AZURE_BLOB_ACCOUNT_NAME` and `AZURE_BLOB_ACCOUNT_KEY`: the account for storages that have none.
    pub azure_account_name: Option<Secret>,
    pub azure_account_key: Option<Secret>,
    /// `AZURE_BLOB_ENDPOINT`: the endpoint for storages that have none; `None` is the public cloud.
    pub azure_endpoint: Option<String>,
    /// `LOCAL_FILES_SERVING_ENABLED`: whether storages may use files of this machine at all.
    pub local_files_serving: bool,
    /// `LOCAL_FILES_DOCUMENT_ROOT`: storages may use only files below this folder.
    pub local_files_root: PathBuf,
}

impl Operator {
    /// Reads the settings from the environment.
    pub fn read(read: &mut Environment<'_>) -> Self {
        Self {
            region: read.text(&table::AWS_REGION).or_else(|| read.variable("AWS_DEFAULT_REGION")),
            google_application_credentials: read.text(&table::GOOGLE_APPLICATION_CREDENTIALS).map(PathBuf::from),
            storage_emulator_host: read.text(&table::STORAGE_EMULATOR_HOST),
            azure_account_name: read.text(&table::AZURE_BLOB_ACCOUNT_NAME).map(Secret::new),
            azure_account_key: read.text(&table::AZURE_BLOB_ACCOUNT_KEY).map(Secret::new),
            azure_endpoint: read.text(&table::AZURE_BLOB_ENDPOINT),
            local_files_serving: read.is_on(&table::LOCAL_FILES_SERVING_ENABLED),
            local_files_root: read.text(&table::LOCAL_FILES_DOCUMENT_ROOT).unwrap_or_default().into(),
        }
    }
}

impl Default for Operator {
    /// An empty environment.
    fn default() -> Self {
        Self::read(&mut Environment::new(Program::Worker, |_| None))
    }
}
