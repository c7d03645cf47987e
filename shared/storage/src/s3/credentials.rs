//! Where the signing credentials come from: the storage's fields, the default chain, or a role.

use std::sync::Arc;

use aws_credential_types::Credentials;
use longshore_model::{S3Secrets, Secret};

use super::default_chain::DefaultChain;
use super::role::Role;
use crate::wire::ExpiringCache;
use crate::{InvalidSetting, Op, StorageError};

/// The source of the credentials that sign.
pub(crate) enum CredentialSource {
    /// The key fields of the storage.
    Fields(Box<Credentials>),
    /// The process's identity, from AWS's default chain.
    DefaultChain(Arc<DefaultChain>),
    /// A role that the process's identity assumes.
    Role(Arc<Role>),
}

impl CredentialSource {
    /// Returns credentials that are valid for some minutes.
    pub(super) async fn get(&self, op: Op) -> Result<Credentials, StorageError> {
        match self {
            Self::Fields(own) => Ok(Credentials::clone(own)),
            Self::DefaultChain(default_chain) => default_chain.get(op).await,
            Self::Role(role) => role.get(op).await,
        }
    }

    /// The cache of temporary credentials. `None` for key fields, which do not change.
    pub(super) fn cache(&self) -> Option<&ExpiringCache<Credentials>> {
        match self {
            Self::Fields(_) => None,
            Self::DefaultChain(default_chain) => Some(default_chain.cache()),
            Self::Role(role) => Some(role.cache()),
        }
    }
}

/// Returns the credentials in the storage's key fields, or `None` if all fields are empty.
pub(crate) fn from_fields(secrets: &S3Secrets) -> Result<Option<Credentials>, InvalidSetting> {
    let id = text("aws_access_key_id", secrets.aws_access_key_id.as_ref())?;
    let secret = text("aws_secret_access_key", secrets.aws_secret_access_key.as_ref())?;
    let token = text("aws_session_token", secrets.aws_session_token.as_ref())?;
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Some(Credentials::from_keys(id, secret, token.map(str::to_owned)))),
        (None, None) if token.is_none() => Ok(None),
        (None, _) => Err(InvalidSetting::new("aws_access_key_id", "the other key fields require an access key ID")),
        (Some(_), None) => {
            Err(InvalidSetting::new("aws_secret_access_key", "an access key ID requires its secret access key"))
        }
    }
}

/// A field without the spaces and line breaks that pasting adds; the rest must fit into a header.
fn text<'a>(field: &'static str, secret: Option<&'a Secret>) -> Result<Option<&'a str>, InvalidSetting> {
    let text = secret.map(|secret| secret.expose().trim()).filter(|text| !text.is_empty());
    match text {
        Some(text) if !text.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(InvalidSetting::new(field, "contains characters that no AWS key has"))
        }
        text => Ok(text),
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
    fn pasted_spaces_around_keys_are_ignored() {
        let credentials = from_fields(&secrets(" AKID\n", "s3cret ", "")).unwrap().unwrap();
        assert_eq!((credentials.access_key_id(), credentials.secret_access_key()), ("AKID", "s3cret"));
        assert_eq!(from_fields(&secrets(" ", "", "")).unwrap(), None);
    }

    #[test]
    fn half_a_pair_of_keys_names_the_missing_field() {
        assert_eq!(from_fields(&secrets("AKID", "", "")).unwrap_err().field, "aws_secret_access_key");
        assert_eq!(from_fields(&secrets("", "secret", "")).unwrap_err().field, "aws_access_key_id");
        assert_eq!(from_fields(&secrets("", "", "token")).unwrap_err().field, "aws_access_key_id");
        assert_eq!(from_fields(&secrets("AK\nID", "secret", "")).unwrap_err().field, "aws_access_key_id");
    }
}
