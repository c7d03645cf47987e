//! Opens storages of all kinds from their settings.

use std::borrow::Cow;
use std::sync::Arc;

use longshore_model::{Connection, FailureReason, Secrets, StorageSettings};

use crate::azure::Azure;
use crate::explained::Explained;
use crate::gcs::{self, Accounts, Gcs};
use crate::localfiles::LocalFiles;
use crate::redis::{Connections, Redis};
use crate::s3::{CredentialSource, DefaultChain, Roles, S3, from_fields};
use crate::wire::{Wire, WireOptions};
use crate::{ErrorKind, Op, Operator, OwnIdentity, Storage, StorageError, StorageMetrics};

/// Message for a kind that this build has no adapter for.
const UNKNOWN_KIND: &str = "this build does not support storages of this kind";

/// The region if neither the storage nor the operator sets one; AWS's default.
const DEFAULT_REGION: &str = "us-east-1";

/// Opens storages, and holds what all storages of a process share: connections, limits, AWS identity, metrics.
///
/// Cheap to clone. Opening a storage is cheap as well, so opened storages are not cached.
#[derive(Clone)]
pub struct Stores {
    wire: Arc<Wire>,
    redis: Connections,
    default_chain: Arc<DefaultChain>,
    roles: Arc<Roles>,
    accounts: Arc<Accounts>,
    operator: Arc<Operator>,
}

/// An invalid setting, with a message for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidSetting {
    /// The field's name in the settings.
    pub field: &'static str,
    /// What is wrong and what to do about it.
    pub message: Cow<'static, str>,
}

impl InvalidSetting {
    pub(crate) fn new(field: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { field, message: message.into() }
    }
}

impl From<InvalidSetting> for StorageError {
    fn from(setting: InvalidSetting) -> Self {
        Self::with_source(Op::Connect, ErrorKind::Invalid, FailureReason::InvalidSettings, setting)
    }
}

impl Stores {
    /// Creates the shared clients. Logs settings of the operator that contradict each other.
    ///
    /// # Errors
    /// The TLS library rejects its own defaults.
    pub fn new(options: WireOptions, operator: Operator, metrics: StorageMetrics) -> Result<Self, StorageError> {
        for (winner, other) in &operator.conflicts {
            tracing::warn!(
                event = "settings_conflict",
                "{winner} and {other} differ: {winner} counts; remove one of them"
            );
        }
        let wire = Wire::new(options, metrics)
            .map_err(|error| StorageError::with_source(Op::Connect, ErrorKind::Invalid, FailureReason::Tls, error))?;
        let default_chain = Arc::new(DefaultChain::new());
        let roles = Arc::new(Roles::new(Arc::clone(&default_chain)));
        let wire = Arc::new(wire);
        Ok(Self {
            redis: Connections::new(Arc::clone(&wire)),
            wire,
            default_chain,
            roles,
            operator: Arc::new(operator),
            accounts: Arc::default(),
        })
    }

    /// Which storages may use the processes' own cloud identity.
    pub fn own_identity(&self) -> &OwnIdentity {
        &self.operator.own_identity
    }

    /// Opens a storage of a project. Makes no request yet; [`Storage::probe`] does.
    ///
    /// # Errors
    /// The settings or secrets are invalid; the cause is an [`InvalidSetting`]. Or the storage names no credentials, and
    /// the operator does not lend it those of the process.
    pub fn open(
        &self,
        project: i64,
        settings: &StorageSettings,
        secrets: &Secrets,
    ) -> Result<Arc<dyn Storage>, StorageError> {
        let connection = Arc::new(settings.connection.clone());
        match self.open_kind(project, settings, secrets) {
            Ok(storage) => Ok(Arc::new(Explained::new(storage, connection))),
            Err(error) => Err(error.of(&connection)),
        }
    }

    fn open_kind(
        &self,
        project: i64,
        settings: &StorageSettings,
        secrets: &Secrets,
    ) -> Result<Arc<dyn Storage>, StorageError> {
        let connection = &settings.connection;
        if connection.uses_own_identity(secrets) && !self.operator.own_identity.permits(project, connection) {
            return Err(StorageError::new(Op::Connect, ErrorKind::Denied, FailureReason::OwnIdentityDenied));
        }
        let prefix = settings.connection.prefix();
        let wire = Arc::clone(&self.wire);
        match (&settings.connection, secrets) {
            (Connection::S3(connection), Secrets::S3(secrets)) => {
                let credentials = match from_fields(secrets)? {
                    Some(own) => CredentialSource::Fields(Box::new(own)),
                    None => CredentialSource::DefaultChain(Arc::clone(&self.default_chain)),
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
                Ok(Arc::new(LocalFiles::new(project, connection, &self.operator, wire)?))
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

/// Checks settings as far as possible without a request, when they are saved.
///
/// # Errors
/// The first invalid setting.
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
