//! Credentials of an IAM role: STS issues them to this process's identity, for an hour.
//!
//! This calls STS directly and not through `AssumeRoleProvider`, which hides why STS refused: users must be able to
//! distinguish that from other failures.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_sts::config::Builder;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId;
use aws_sdk_sts::operation::assume_role::{AssumeRoleError, AssumeRoleOutput};
use longshore_model::{FailureReason, S3sConnection};
use tokio::sync::OnceCell;

use super::default_chain::{DefaultChain, sdk_client};
use crate::wire::{Entries, ExpiringCache, ExpiringValue, Idle};
use crate::{ErrorKind, InvalidSetting, Op, StorageError, names};

/// The session name that the role's owner sees in the account's logs.
const SESSION_NAME: &str = "longshore";

/// STS answers within a second. A person who saves a storage waits for this call and for the bucket.
const PATIENCE: Duration = Duration::from_secs(4);

/// The roles that this process has assumed. One instance per process, because opened storages are short-lived.
pub(crate) struct Roles {
    sts: Arc<Sts>,
    known: Entries<RoleName, Role>,
}

/// A role as a storage names it. Includes the external ID, so that a storage without it does not get the credentials
/// of one that has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RoleName {
    arn: String,
    external_id: Option<String>,
    /// The region of the STS endpoint.
    region: String,
}

/// One role and its credentials.
pub(crate) struct Role {
    name: RoleName,
    sts: Arc<Sts>,
    credentials: ExpiringCache<Credentials>,
}

struct Sts {
    default_chain: Arc<DefaultChain>,
    config: OnceCell<SdkConfig>,
}

impl Roles {
    pub(crate) fn new(default_chain: Arc<DefaultChain>) -> Self {
        Self { sts: Arc::new(Sts { default_chain, config: OnceCell::new() }), known: Entries::default() }
    }

    /// Returns the role of a storage. Makes no request yet.
    pub(crate) fn role(&self, connection: &S3sConnection, default_region: &str) -> Result<Arc<Role>, InvalidSetting> {
        check_role(connection)?;
        let region = connection.s3.region_name.as_deref().map(str::trim).filter(|region| !region.is_empty());
        let name = RoleName {
            arn: connection.role_arn.trim().to_owned(),
            external_id: external_id(connection).map(str::to_owned),
            region: region.unwrap_or(default_region).to_owned(),
        };
        self.known.get(name, |name| {
            Ok(Role { name: name.clone(), sts: Arc::clone(&self.sts), credentials: ExpiringCache::default() })
        })
    }

    /// Roles with an STS at this address.
    #[cfg(test)]
    pub(crate) async fn at(default_chain: Arc<DefaultChain>, endpoint: &str) -> Self {
        let config = loader().endpoint_url(endpoint).load().await;
        let sts = Sts { default_chain, config: OnceCell::new_with(Some(config)) };
        Self { sts: Arc::new(sts), known: Entries::default() }
    }
}

impl Role {
    /// Returns the role's credentials, valid for some minutes.
    pub(super) async fn get(&self, op: Op) -> Result<Credentials, StorageError> {
        // Boxed because the SDK's future is large and every request would carry it; it runs about once an hour.
        self.credentials.get(async { Box::pin(self.sts.assume(op, &self.name)).await }).await
    }

    pub(super) fn cache(&self) -> &ExpiringCache<Credentials> {
        &self.credentials
    }
}

impl Idle for Role {
    fn is_idle(&self) -> bool {
        self.credentials.is_empty()
    }
}

impl Sts {
    async fn assume(&self, op: Op, name: &RoleName) -> Result<ExpiringValue<Credentials>, StorageError> {
        let identity = self.identity(op).await?;
        let used = identity.access_key_id().to_owned();
        match self.ask(op, name, identity).await {
            // The identity was replaced before its expiry: the next one may work.
            Err(error) if error.reason == FailureReason::ExpiredCredentials => {
                self.default_chain.cache().forget(|held| held.access_key_id() == used).await;
                let identity = self.identity(op).await?;
                self.ask(op, name, identity).await.map_err(|error| match error.reason {
                    FailureReason::ExpiredCredentials => as_identity(error),
                    _ => error,
                })
            }
            answer => answer,
        }
    }

    async fn identity(&self, op: Op) -> Result<Credentials, StorageError> {
        self.default_chain.get(op).await.map_err(|error| match error.reason {
            FailureReason::MissingCredentials => as_identity(error),
            _ => error,
        })
    }

    async fn ask(
        &self,
        op: Op,
        name: &RoleName,
        identity: Credentials,
    ) -> Result<ExpiringValue<Credentials>, StorageError> {
        let config = self.config.get_or_init(|| loader().load()).await;
        let config = Builder::from(config).region(Region::new(name.region.clone())).credentials_provider(identity);
        let answer = aws_sdk_sts::Client::from_conf(config.build())
            .assume_role()
            .role_arn(&name.arn)
            .set_external_id(name.external_id.clone())
            .role_session_name(SESSION_NAME)
            .send()
            .await;
        match answer {
            Ok(answer) => {
                credentials(answer).ok_or_else(|| StorageError::new(op, ErrorKind::Invalid, FailureReason::BadAnswer))
            }
            Err(error) => Err(refusal_error(op, error)),
        }
    }
}

/// Loads the configuration. The endpoint comes from the operator's `AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL` or
/// profile; the default is AWS's endpoint of the region.
fn loader() -> aws_config::ConfigLoader {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(sdk_client())
        // Each role sets its own region; without a region here, the loader would call the metadata service.
        .region(Region::from_static("us-east-1"))
        .no_credentials()
        // The caller retries the whole call.
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(PATIENCE).build())
}

fn credentials(answer: AssumeRoleOutput) -> Option<ExpiringValue<Credentials>> {
    let credentials = answer.credentials?;
    let end = SystemTime::try_from(credentials.expiration).ok()?;
    let token = Some(credentials.session_token);
    let value =
        Credentials::new(credentials.access_key_id, credentials.secret_access_key, token, Some(end), "AssumeRole");
    Some(ExpiringValue { value, end: Some(end) })
}

/// STS's code of a refusal. Without its message, which names the operator's identity.
#[derive(Debug, thiserror::Error)]
#[error("STS answered {code}, request id {request_id}")]
struct Refusal {
    code: String,
    request_id: String,
}

fn refusal_error(op: Op, error: SdkError<AssumeRoleError>) -> StorageError {
    use ErrorKind::{Denied, Invalid, Unavailable};
    let SdkError::ServiceError(context) = &error else {
        return StorageError::with_source(op, Unavailable, FailureReason::Unavailable, error);
    };
    let plain = |text: Option<&str>| text.unwrap_or("none").chars().take(64).collect::<String>();
    let refusal = Refusal { code: plain(context.err().code()), request_id: plain(context.err().request_id()) };
    let (kind, reason) = match refusal.code.trim_end_matches("Exception") {
        "AccessDenied" => (Denied, FailureReason::RoleDenied),
        "ValidationError" | "MalformedInput" => (Invalid, FailureReason::RoleDenied),
        "ExpiredToken" => (Denied, FailureReason::ExpiredCredentials),
        "InvalidClientTokenId"
        | "UnrecognizedClient"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken" => (Denied, FailureReason::NoIdentity),
        "RequestExpired" | "RequestTimeTooSkewed" => (Denied, FailureReason::ClockSkew),
        "RegionDisabled" => (Invalid, FailureReason::WrongRegion),
        "Throttling" | "ThrottledException" | "RequestLimitExceeded" | "TooManyRequests" | "SlowDown" => {
            (ErrorKind::Throttled { retry_after: None }, FailureReason::Throttled)
        }
        _ => match context.raw().status().as_u16() {
            429 => (ErrorKind::Throttled { retry_after: None }, FailureReason::Throttled),
            500..=599 => (Unavailable, FailureReason::Unavailable),
            401 | 403 => (Denied, FailureReason::RoleDenied),
            _ => (Invalid, FailureReason::BadAnswer),
        },
    };
    StorageError::with_source(op, kind, reason, refusal)
}

/// Marks a failure as one of the process's identity, which only the operator can fix.
fn as_identity(error: StorageError) -> StorageError {
    StorageError::with_source(error.op, ErrorKind::Denied, FailureReason::NoIdentity, error)
}

/// Checks the fields that describe the role.
pub(super) fn check_role(connection: &S3sConnection) -> Result<(), InvalidSetting> {
    if !names::is_role_arn(connection.role_arn.trim()) {
        return Err(InvalidSetting::new(
            "role_arn",
            "a role ARN has the form arn:aws:iam::123456789012:role/name, with the twelve digits of the account",
        ));
    }
    if external_id(connection).is_some_and(|id| !names::is_external_id(id)) {
        return Err(InvalidSetting::new(
            "external_id",
            "an external ID must have 2 to 1224 letters, digits or characters of _+=,.@:/-",
        ));
    }
    Ok(())
}

fn external_id(connection: &S3sConnection) -> Option<&str> {
    connection.external_id.as_deref().map(str::trim).filter(|id| !id.is_empty())
}
