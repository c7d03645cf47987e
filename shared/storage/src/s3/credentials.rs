//! Whose credentials sign: the storage's own, those of this process, or those of a role that it assumes.

use std::sync::Arc;

use aws_credential_types::Credentials;
use longshore_model::{S3Secrets, Secret};

use super::ambient::Ambient;
use super::role::Role;
use crate::wire::Expiring;
use crate::{InvalidSetting, Op, StorageError};

/// Where the credentials come from that sign.
pub(crate) enum CredentialSource {
    /// The storage's own.
    Own(Box<Credentials>),
    /// The process's identity.
    Ambient(Arc<Ambient>),
    /// A role that the process's identity assumes.
    Role(Arc<Role>),
}

impl CredentialSource {
    /// Credentials that are good for some minutes.
    pub(super) async fn get(&self, op: Op) -> Result<Credentials, StorageError> {
        match self {
            Self::Own(own) => Ok(Credentials::clone(own)),
            Self::Ambient(ambient) => ambient.get(op).await,
            Self::Role(role) => role.get(op).await,
        }
    }

    /// Where temporary credentials are kept; the storage's own do not change.
    pub(super) fn cache(&self) -> Option<&Expiring<Credentials>> {
        match self {
            Self::Own(_) => None,
            Self::Ambient(ambient) => Some(ambient.cache()),
            Self::Role(role) => Some(role.cache()),
        }
    }
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
