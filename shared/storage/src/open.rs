//! From settings to a storage: the one constructor for all kinds.

use std::sync::Arc;

use longshore_model::{Connection, FailureReason, Secrets, StorageSettings};

use crate::azure::Azure;
use crate::gcs::{self, Accounts, Gcs};
use crate::localfiles::LocalFiles;
use crate::redis::{Connections, Redis};
use crate::s3::{Ambient, CredentialSource, Roles, S3, own};
use crate::wire::{Wire, WireOptions};
use crate::{ErrorKind, Op, Operator, Storage, StorageError, StorageMetrics};

/// What a kind is refused with that this build has no adapter for.
const UNKNOWN_KIND: &str = "this build cannot reach storages of this kind";

/// The region where neither the storage nor the operator names one; AWS's own default.
const DEFAULT_REGION: &str = "us-east-1";

/// What all storages of a process share: connections, limits, the process's own identity, metrics.
///
/// Cheap to clone. Opening a storage is cheap too, so nothing keeps opened ones.
#[derive(Clone)]
pub struct Stores {
    wire: Arc<Wire>,
    redis: Connections,
    ambient: Arc<Ambient>,
    roles: Arc<Roles>,
    accounts: Arc<Accounts>,
    operator: Arc<Operator>,
}

/// A setting that cannot work, in words for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidSetting {
    /// The field's name in the settings.
    pub field: &'static str,
    pub message: &'static str,
}

impl InvalidSetting {
    pub(crate) fn new(field: &'static str, message: &'static str) -> Self {
        Self { field, message }
    }
}

impl From<InvalidSetting> for StorageError {
    fn from(setting: InvalidSetting) -> Self {
        Self::caused(Op::Connect, ErrorKind::Invalid, FailureReason::InvalidSettings, setting)
    }
}

impl Stores {
    /// Makes the shared client.
    ///
    /// # Errors
    /// The TLS library refuses its own defaults.
    pub fn new(options: WireOptions, operator: Operator, metrics: StorageMetrics) -> Result<Self, StorageError> {
        let wire = Wire::new(options, metrics)
            .map_err(|error| StorageError::caused(Op::Connect, ErrorKind::Invalid, FailureReason::Tls, error))?;
        let ambient = Arc::new(Ambient::new());
        let roles = Arc::new(Roles::new(Arc::clone(&ambient)));
        let wire = Arc::new(wire);
        Ok(Self {
            redis: Connections::new(Arc::clone(&wire)),
            wire,
            ambient,
            roles,
            operator: Arc::new(operator),
            accounts: Arc::default(),
        })
    }

    /// Opens a storage. Asks nothing of it yet: [`Storage::probe`] does.
    ///
    /// # Errors
    /// Settings or secrets cannot work as they are; the cause is an [`InvalidSetting`].
    pub fn open(&self, settings: &StorageSettings, secrets: &Secrets) -> Result<Arc<dyn Storage>, StorageError> {
        let prefix = settings.connection.prefix();
        let wire = Arc::clone(&self.wire);
        match (&settings.connection, secrets) {
            (Connection::S3(connection), Secrets::S3(secrets)) => {
                let credentials = match own(secrets)? {
                    Some(own) => CredentialSource::Own(Box::new(own)),
                    None => CredentialSource::Ambient(Arc::clone(&self.ambient)),
                };
                Ok(Arc::new(S3::open(connection, prefix, credentials, wire, self.region())?))
            }
            (Connection::S3s(connection), Secrets::S3s(_)) => {
                let credentials = CredentialSource::Role(self.roles.role(connection, self.region())?);
                Ok(Arc::new(S3::open(&connection.s3, prefix, credentials, wire, self.region())?))
            }
            (Connection::Azure(connection), Secrets::Azure(secrets)) => {
                Ok(Arc::new(Azure::open(connection, prefix, secrets, &self.operator, wire)?))
            }
            (Connection::Localfiles(connection), Secrets::Localfiles(_)) => {
                Ok(Arc::new(LocalFiles::new(connection, &self.operator, wire)?))
            }
            (Connection::Redis(connection), Secrets::Redis(secrets)) => {
                Ok(Arc::new(Redis::new(connection, secrets, prefix, self.redis.clone())?))
            }
            (Connection::Gcs(connection), Secrets::Gcs(secrets)) => {
                let file = self.operator.google_application_credentials.as_deref();
                let account = self.accounts.account(secrets.google_application_credentials.as_ref(), file)?;
                let service = gcs::service(self.operator.storage_emulator_host.as_deref())?;
                Ok(Arc::new(Gcs::open(connection, prefix, service, account, wire)?))
            }
            _ => Err(InvalidSetting::new("kind", UNKNOWN_KIND).into()),
        }
    }

    pub(crate) fn wire(&self) -> &Arc<Wire> {
        &self.wire
    }

    fn region(&self) -> &str {
        self.operator.region.as_deref().unwrap_or(DEFAULT_REGION)
    }
}

/// Checks, when settings are saved, what can be known without asking the storage.
///
/// # Errors
/// The first setting that cannot work.
pub fn check_settings(settings: &StorageSettings) -> Result<(), InvalidSetting> {
    match &settings.connection {
        Connection::S3(connection) => crate::s3::check(connection, DEFAULT_REGION),
        Connection::S3s(connection) => crate::s3::check_s3s(connection, DEFAULT_REGION),
        Connection::Redis(connection) => crate::redis::check(connection),
        Connection::Localfiles(connection) => crate::localfiles::check(connection),
        Connection::Azure(connection) => crate::azure::check(connection),
        Connection::Gcs(connection) => gcs::check(connection),
    }
}
