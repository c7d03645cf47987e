//! Who signs: the storage's own keys, whoever this process is, or a role that it assumes.

use longshore_telemetry::causes;
use std::fmt;
use std::sync::Arc;

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
use longshore_model::{FailureReason, S3Secrets, Secret};
use tokio::sync::OnceCell;

use super::held::Held;
use super::role::Role;
use crate::{ErrorKind, InvalidSetting, Op, StorageError};

/// Whose keys sign.
pub(crate) enum Keys {
    /// The storage's own.
    Own(Box<Credentials>),
    /// The process's identity.
    Ambient(Arc<Ambient>),
    /// A role that the process's identity assumes.
    Role(Arc<Role>),
}

/// The identity of this process: environment, profile, web identity, container, instance, in this order.
///
/// One for a process. Credentials are fetched once, by one caller at a time, and again before they expire.
pub(crate) struct Ambient {
    chain: OnceCell<DefaultCredentialsChain>,
    held: Held,
}

impl Ambient {
    pub(crate) fn new() -> Self {
        Self { chain: OnceCell::new(), held: Held::default() }
    }

    /// Credentials that are good for some minutes.
    pub(super) async fn get(&self, op: Op) -> Result<Credentials, StorageError> {
        let renew = async {
            let chain = self.chain.get_or_init(default_chain).await;
            chain.provide_credentials().await.map_err(|error| failed(op, error))
        };
        self.held.get(renew).await
    }

    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    #[cfg(test)]
    pub(crate) fn holding(credentials: Credentials) -> Self {
        Self { chain: OnceCell::new(), held: Held::holding(credentials) }
    }
}

impl Keys {
    /// Credentials that are good for some minutes.
    pub(super) async fn get(&self, op: Op) -> Result<Credentials, StorageError> {
        match self {
            Self::Own(own) => Ok(Credentials::clone(own)),
            Self::Ambient(ambient) => ambient.get(op).await,
            Self::Role(role) => role.get(op).await,
        }
    }

    /// Where temporary credentials are kept; the storage's own will not get better.
    pub(super) fn held(&self) -> Option<&Held> {
        match self {
            Self::Own(_) => None,
            Self::Ambient(ambient) => Some(ambient.held()),
            Self::Role(role) => Some(role.held()),
        }
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

/// The storage's own keys, or `None` where all fields are empty.
pub(crate) fn own(secrets: &S3Secrets) -> Result<Option<Credentials>, InvalidSetting> {
    let id = text("aws_access_key_id", secrets.aws_access_key_id.as_ref())?;
    let secret = text("aws_secret_access_key", secrets.aws_secret_access_key.as_ref())?;
    let token = text("aws_session_token", secrets.aws_session_token.as_ref())?;
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Some(Credentials::from_keys(id, secret, token.map(str::to_owned)))),
        (None, None) if token.is_none() => Ok(None),
        (None, _) => Err(InvalidSetting::new("aws_access_key_id", "the other key fields need an access key ID")),
        (Some(_), None) => {
            Err(InvalidSetting::new("aws_secret_access_key", "an access key ID needs its secret access key"))
        }
    }
}

/// A field without the spaces and line ends that come with pasting; the rest has to fit into a header.
fn text<'a>(field: &'static str, secret: Option<&'a Secret>) -> Result<Option<&'a str>, InvalidSetting> {
    let text = secret.map(|secret| secret.expose().trim()).filter(|text| !text.is_empty());
    match text {
        Some(text) if !text.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(InvalidSetting::new(field, "has characters that no AWS key has"))
        }
        text => Ok(text),
    }
}

impl fmt::Debug for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ambient")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(id: &str, secret: &str, token: &str) -> S3Secrets {
        let field = |text: &str| (!text.is_empty()).then(|| Secret::new(text));
        S3Secrets {
            aws_access_key_id: field(id),
            aws_secret_access_key: field(secret),
            aws_session_token: field(token),
        }
    }

    #[test]
    fn pasted_spaces_around_keys_do_not_matter() {
        let credentials = own(&secrets(" AKID\n", "s3cret ", "")).unwrap().unwrap();
        assert_eq!((credentials.access_key_id(), credentials.secret_access_key()), ("AKID", "s3cret"));
        assert_eq!(own(&secrets(" ", "", "")).unwrap(), None);
    }

    #[test]
    fn half_a_pair_of_keys_names_the_missing_field() {
        assert_eq!(own(&secrets("AKID", "", "")).unwrap_err().field, "aws_secret_access_key");
        assert_eq!(own(&secrets("", "secret", "")).unwrap_err().field, "aws_access_key_id");
        assert_eq!(own(&secrets("", "", "token")).unwrap_err().field, "aws_access_key_id");
        assert_eq!(own(&secrets("AK\nID", "secret", "")).unwrap_err().field, "aws_access_key_id");
    }
}
