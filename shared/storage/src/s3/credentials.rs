//! Who signs: the storage's own keys, or whoever this process is.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::tls;
use longshore_model::{FailureReason, S3Secrets, Secret};
use tokio::sync::{Mutex, OnceCell};

use crate::{ErrorKind, InvalidSetting, Op, StorageError};

/// Temporary credentials are replaced so long before they end: AWS hands out new ones at least five
/// minutes before, and a request signed now may wait in a queue.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// The identity of this process: environment, profile, web identity, container, instance, in this order.
///
/// One for a process. Credentials are fetched once, by one caller at a time, and again before they expire.
pub(crate) struct Ambient {
    chain: OnceCell<DefaultCredentialsChain>,
    held: Mutex<Option<Credentials>>,
}

impl Ambient {
    pub(crate) fn new() -> Self {
        Self { chain: OnceCell::new(), held: Mutex::new(None) }
    }

    /// Credentials that are good for some minutes.
    pub(super) async fn get(&self, op: Op) -> Result<Credentials, StorageError> {
        let mut held = self.held.lock().await;
        if let Some(credentials) = held.as_ref()
            && lasts(credentials, MARGIN)
        {
            return Ok(credentials.clone());
        }
        let chain = self.chain.get_or_init(default_chain).await;
        match (chain.provide_credentials().await, held.take()) {
            (Ok(fresh), _) => Ok(held.insert(fresh).clone()),
            // The metadata service is away for a moment: what is held still serves.
            (Err(_), Some(old)) if lasts(&old, Duration::ZERO) => Ok(held.insert(old).clone()),
            (Err(error), _) => Err(failed(op, error)),
        }
    }

    /// Forgets what is held, since the storage says that it has expired.
    pub(super) async fn forget(&self) {
        *self.held.lock().await = None;
    }
}

fn lasts(credentials: &Credentials, margin: Duration) -> bool {
    credentials.expiry().is_none_or(|end| SystemTime::now() + margin < end)
}

async fn default_chain() -> DefaultCredentialsChain {
    let client = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .build_https();
    let config = ProviderConfig::default().with_http_client(client);
    DefaultCredentialsChain::builder().configure(config).build().await
}

fn failed(op: Op, error: CredentialsError) -> StorageError {
    let (kind, reason) = match &error {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
            (ErrorKind::Denied, FailureReason::MissingCredentials)
        }
        // The service that hands them out did not answer as it should; the enum may also grow.
        _ => (ErrorKind::Unavailable, FailureReason::Unavailable),
    };
    StorageError::caused(op, kind, reason, error)
}

/// The storage's own keys, or `None` where all fields are empty.
pub(super) fn own(secrets: &S3Secrets) -> Result<Option<Credentials>, InvalidSetting> {
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

    #[tokio::test]
    async fn held_credentials_are_used_until_shortly_before_they_expire() {
        let ambient = Ambient::new();
        let mut lasting = Credentials::from_keys("id", "secret", None);
        *lasting.expiry_mut() = Some(SystemTime::now() + MARGIN * 2);
        *ambient.held.lock().await = Some(lasting.clone());
        assert_eq!(ambient.get(Op::List).await.unwrap(), lasting);

        *lasting.expiry_mut() = Some(SystemTime::now() + MARGIN / 2);
        assert!(!lasts(&lasting, MARGIN));
    }
}
