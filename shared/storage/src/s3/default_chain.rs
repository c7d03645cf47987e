//! The process's own identity, as AWS's default chain finds it.

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
use crate::wire::{Expiring, Fresh};
use crate::{ErrorKind, Op, StorageError};

/// The identity of this process: environment, profile, web identity, container, instance, in this order.
///
/// One for a process. Credentials are fetched once, by one caller at a time, and again before they expire.
pub(crate) struct Ambient {
    /// `None` before the first use and after a failure: the chain reports a faulty profile only once, and a new one reads
    /// the files again.
    chain: Mutex<Option<DefaultCredentialsChain>>,
    cache: Expiring<Credentials>,
}

impl Ambient {
    pub(crate) fn new() -> Self {
        Self { chain: Mutex::default(), cache: Expiring::default() }
    }

    /// Credentials that are good for some minutes.
    pub(super) async fn get(&self, op: Op) -> Result<Credentials, StorageError> {
        let renew = async {
            let mut kept = self.chain.lock().await;
            let chain = match kept.take() {
                Some(chain) => chain,
                None => default_chain().await,
            };
            let credentials = chain.provide_credentials().await.map_err(|error| failed(op, error))?;
            *kept = Some(chain);
            Ok(Fresh { end: credentials.expiry(), value: credentials })
        };
        self.cache.get(renew).await
    }

    pub(super) fn cache(&self) -> &Expiring<Credentials> {
        &self.cache
    }

    #[cfg(test)]
    pub(crate) fn holding(credentials: Credentials) -> Self {
        let fresh = Fresh { end: credentials.expiry(), value: credentials };
        Self { chain: Mutex::default(), cache: Expiring::holding(fresh) }
    }
}

/// The SDK's way to the services that hand out credentials. The operator chooses these, so the
/// address guard has no say.
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
        return StorageError::caused(op, ErrorKind::Denied, FailureReason::MissingCredentials, profile);
    }
    let (kind, reason) = match &error {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
            (ErrorKind::Denied, FailureReason::MissingCredentials)
        }
        error if is_refused_by_metadata(error) => (ErrorKind::Denied, FailureReason::MissingCredentials),
        error if is_refused_by_sts(error) => (ErrorKind::Denied, FailureReason::NoIdentity),
        // The service that hands them out did not answer as it should; the enum may also grow.
        _ => (ErrorKind::Unavailable, FailureReason::Unavailable),
    };
    StorageError::caused(op, kind, reason, error)
}

/// Whether the instance's metadata service answered that it has nothing for this process: it is switched
/// off, forbids it, or knows only its first version, which is never spoken. Asking again changes nothing.
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

/// Whether STS does not take the web identity that this process was given.
fn is_refused_by_sts(error: &CredentialsError) -> bool {
    causes(error).any(|cause| {
        cause
            .downcast_ref::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>()
            .and_then(|error| Some(error.as_service_error()?.is_idp_communication_error_exception()))
            .is_some_and(|is_away| !is_away)
    })
}

impl fmt::Debug for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ambient")
    }
}
