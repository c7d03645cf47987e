//! The process's own AWS identity, found by AWS's default chain.

use std::fmt;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::imds::client::error::{ImdsError, TokenError};
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::error::SdkError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use longshore_model::FailureReason;
use longshore_telemetry::causes;
use tokio::sync::Mutex;

use super::profile::UnsupportedProfile;
use crate::wire::{ExpiringCache, ExpiringValue};
use crate::{ErrorKind, Op, StorageError};

/// The process's AWS identity: environment, profile, web identity, container, instance, in this order.
///
/// One instance per process. Credentials are fetched once, by one caller at a time, and again before they expire.
pub(crate) struct DefaultChain {
    /// `None` before the first use and after a failure: the SDK's chain reports a faulty profile only once, and a new
    /// chain reads the files again.
    chain: Mutex<Option<DefaultCredentialsChain>>,
    cache: ExpiringCache<Credentials>,
}

impl DefaultChain {
    pub(crate) fn new() -> Self {
        Self { chain: Mutex::default(), cache: ExpiringCache::default() }
    }

    /// Returns credentials that are valid for some minutes.
    pub(super) async fn get(&self, op: Op) -> Result<Credentials, StorageError> {
        let renew = async {
            let mut kept = self.chain.lock().await;
            let chain = match kept.take() {
                Some(chain) => chain,
                None => default_chain().await,
            };
            let credentials = chain.provide_credentials().await.map_err(|error| failed(op, error))?;
            *kept = Some(chain);
            Ok(ExpiringValue { end: credentials.expiry(), value: credentials })
        };
        self.cache.get(renew).await
    }

    pub(super) fn cache(&self) -> &ExpiringCache<Credentials> {
        &self.cache
    }

    #[cfg(test)]
    pub(crate) fn with_credentials(credentials: Credentials) -> Self {
        let fresh = ExpiringValue { end: credentials.expiry(), value: credentials };
        Self { chain: Mutex::default(), cache: ExpiringCache::with_value(fresh) }
    }
}

/// The SDK's HTTP client for the services that issue credentials. The operator chooses these services, so the address
/// guard does not apply.
pub(super) fn sdk_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .build_https()
}

async fn default_chain() -> DefaultCredentialsChain {
    let config = ProviderConfig::default().with_http_client(sdk_client());
    DefaultCredentialsChain::builder().configure(config).build().await
}

fn failed(op: Op, error: CredentialsError) -> StorageError {
    if let Some(profile) = UnsupportedProfile::of(&error) {
        return StorageError::with_source(op, ErrorKind::Denied, FailureReason::MissingCredentials, profile);
    }
    let (kind, reason) = match &error {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
            (ErrorKind::Denied, FailureReason::MissingCredentials)
        }
        error if is_refused_by_metadata(error) => (ErrorKind::Denied, FailureReason::MissingCredentials),
        error if is_refused_by_sts(error) => (ErrorKind::Denied, FailureReason::NoIdentity),
        // The issuing service gave no proper answer. The SDK may also add variants to this enum.
        _ => (ErrorKind::Unavailable, FailureReason::Unavailable),
    };
    StorageError::with_source(op, kind, reason, error)
}

/// Whether the instance's metadata service answered that it has no credentials for this process: it is disabled,
/// forbids access, or supports only its first version, which the SDK does not use. Retrying does not help.
fn is_refused_by_metadata(error: &CredentialsError) -> bool {
    let said_no = |answer: &HttpResponse| !answer.status().is_server_error() && answer.status().as_u16() != 429;
    causes(error).any(|cause| match cause.downcast_ref::<ImdsError>() {
        Some(ImdsError::ErrorResponse(context)) => said_no(context.response()),
        Some(ImdsError::FailedToLoadToken(_)) => causes(cause)
            .find_map(|cause| cause.downcast_ref::<SdkError<TokenError, HttpResponse>>()?.raw_response())
            .is_some_and(said_no),
        _ => false,
    })
}

/// Whether STS refuses the web identity of this process.
fn is_refused_by_sts(error: &CredentialsError) -> bool {
    causes(error).any(|cause| {
        cause
            .downcast_ref::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>()
            .and_then(|error| Some(error.as_service_error()?.is_idp_communication_error_exception()))
            .is_some_and(|is_unavailable| !is_unavailable)
    })
}

impl fmt::Debug for DefaultChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DefaultChain")
    }
}
