//! Authentication: pairs of access key and secret, some with a session token.

use std::sync::Arc;

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey, SimpleAuth};
use s3s::{S3Result, s3_error};

/// One pair of credentials. `Debug` hides the secret and the token.
#[derive(Debug, Clone)]
pub struct AccessKey {
    id: String,
    secret: SecretKey,
    session_token: Option<SecretKey>,
}

impl AccessKey {
    pub fn new(id: &str, secret: &str) -> Self {
        Self { id: id.to_owned(), secret: secret.into(), session_token: None }
    }

    /// Makes the credentials temporary: a request must also contain this token.
    #[must_use]
    pub fn with_session_token(mut self, token: &str) -> Self {
        self.session_token = Some(token.into());
        self
    }
}

/// Checks signatures and session tokens.
#[derive(Clone)]
pub(super) struct Authenticator {
    secrets: Arc<SimpleAuth>,
    keys: Arc<[AccessKey]>,
}

impl Authenticator {
    pub(super) fn new(keys: Vec<AccessKey>) -> Self {
        let mut secrets = SimpleAuth::new();
        for key in &keys {
            secrets.register(key.id.clone(), key.secret.clone());
        }
        Self { secrets: Arc::new(secrets), keys: keys.into() }
    }
}

#[async_trait::async_trait]
impl S3Auth for Authenticator {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        // `SimpleAuth` would answer `NotSignedUp`, which AWS does not.
        self.secrets.lookup(access_key).cloned().ok_or_else(|| s3_error!(InvalidAccessKeyId))
    }
}

#[async_trait::async_trait]
impl S3Access for Authenticator {
    /// `s3s` has checked the signature before; we check the session token.
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = request.credentials() else {
            return Err(s3_error!(AccessDenied, "Signature is required"));
        };
        let key = self.keys.iter().find(|key| key.id == credentials.access_key);
        let expected = key.and_then(|key| key.session_token.as_ref());
        let header = request.headers().get("x-amz-security-token").and_then(|value| value.to_str().ok());
        let query = super::calls::query_value(request.uri(), "X-Amz-Security-Token");
        match (expected, header.or(query.as_deref())) {
            (None, None) => Ok(()),
            (Some(expected), Some(given)) if expected.expose() == given => Ok(()),
            (Some(_), None) => Err(s3_error!(InvalidAccessKeyId)),
            (_, Some(_)) => Err(s3_error!(InvalidToken)),
        }
    }
}
