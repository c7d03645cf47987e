//! What the operator's environment says about storages.

use std::path::PathBuf;

use longshore_model::Secret;
use longshore_telemetry::settings::{Environment, Program, table};

/// Defaults and permissions that no storage's own settings give. `AWS_*` beside the region is read
/// by the AWS SDK itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// `AWS_REGION`, or else `AWS_DEFAULT_REGION`: where buckets live whose storage names no region.
    pub region: Option<String>,
    /// `GOOGLE_APPLICATION_CREDENTIALS`: a file with the credentials of storages that have none.
    pub google_application_credentials: Option<PathBuf>,
    /// `STORAGE_EMULATOR_HOST`: where Google Cloud Storage is in truth, as a URL or `host:port`; `None` is Google.
    pub storage_emulator_host: Option<String>,
    /// `AZURE_BLOB_ACCOUNT_NAME` and `AZURE_BLOB_ACCOUNT_KEY`: the account of storages that name none.
    pub azure_account_name: Option<Secret>,
    pub azure_account_key: Option<Secret>,
    /// `AZURE_BLOB_ENDPOINT`: where the containers of storages are that name no endpoint; `None` is the public cloud.
    pub azure_endpoint: Option<String>,
    /// `LOCAL_FILES_SERVING_ENABLED`: whether this machine's files may be reached at all.
    pub local_files_serving: bool,
    /// `LOCAL_FILES_DOCUMENT_ROOT`: only files below may be.
    pub local_files_root: PathBuf,
}

impl Operator {
    /// Reads the settings.
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
    /// An environment that says nothing.
    fn default() -> Self {
        Self::read(&mut Environment::new(Program::Worker, |_| None))
    }
}
