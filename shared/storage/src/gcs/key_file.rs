//! Reads Google's credentials files: the key of a service account, or a person's refresh token.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use http::Uri;
use longshore_model::Secret;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;

use crate::InvalidSetting;

/// The settings field into which users paste the file.
const FIELD: &str = "google_application_credentials";

/// Google's token server, for a file that names none.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// The validated content of a file.
#[derive(Debug)]
pub(super) enum KeyFile {
    Service(ServiceAccount),
    User(AuthorizedUser),
}

/// A service account and its private key.
pub(super) struct ServiceAccount {
    pub(super) email: String,
    /// Which of the account's keys this is.
    pub(super) key_id: Option<String>,
    pub(super) token_uri: Uri,
    key: RsaKeyPair,
}

/// A person who lets a program act for them.
#[derive(Debug)]
pub(super) struct AuthorizedUser {
    pub(super) client_id: String,
    pub(super) client_secret: Secret,
    pub(super) refresh_token: Secret,
    pub(super) token_uri: Uri,
}

/// The private key could not sign. The library gives no reason.
#[derive(Debug, thiserror::Error)]
#[error("the private key could not sign")]
pub(super) struct SigningError;

#[derive(Deserialize)]
struct Fields {
    #[serde(rename = "type")]
    kind: Option<String>,
    client_email: Option<String>,
    private_key: Option<Secret>,
    private_key_id: Option<String>,
    token_uri: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    refresh_token: Option<Secret>,
}

impl KeyFile {
    /// Reads the JSON text of a file. Error messages never quote the content.
    pub(super) fn read(text: &str) -> Result<Self, InvalidSetting> {
        // Some editors write a byte order mark at the beginning.
        let text = text.trim_start_matches('\u{feff}');
        let fields: Fields = serde_json::from_str(text).map_err(|_| {
            invalid("this is not the JSON text of a key file: paste the whole file, from its first { to its last }, and not its path")
        })?;
        match fields.kind.as_deref() {
            Some("service_account") => ServiceAccount::new(fields).map(Self::Service),
            Some("authorized_user") => AuthorizedUser::new(fields).map(Self::User),
            Some(_) => Err(invalid(
                "the type of this file is not supported: create a JSON key for a service account; its type is service_account",
            )),
            None => {
                Err(invalid("the file has no type: create a JSON key for a service account and paste the whole file"))
            }
        }
    }
}

impl ServiceAccount {
    fn new(fields: Fields) -> Result<Self, InvalidSetting> {
        let email = non_empty(fields.client_email).ok_or_else(|| invalid("the key file lacks client_email"))?;
        let pem = fields.private_key.ok_or_else(|| invalid("the key file lacks private_key"))?;
        let unusable = || {
            invalid(
                "the private_key of this file is not an RSA key: paste the file unchanged, with every \\n in the key",
            )
        };
        let der = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| unusable())?;
        let key = match der {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(unusable()),
        };
        Ok(Self {
            email,
            key_id: non_empty(fields.private_key_id),
            token_uri: token_uri(fields.token_uri)?,
            key: key.map_err(|_| unusable())?,
        })
    }

    /// Signs the way that tokens and URLs require: RSA with PKCS #1 v1.5 padding over SHA-256.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(|_| SigningError)?;
        Ok(signature)
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount").field("email", &self.email).finish_non_exhaustive()
    }
}

impl AuthorizedUser {
    fn new(fields: Fields) -> Result<Self, InvalidSetting> {
        Ok(Self {
            client_id: non_empty(fields.client_id).ok_or_else(|| invalid("the file lacks client_id"))?,
            client_secret: fields.client_secret.ok_or_else(|| invalid("the file lacks client_secret"))?,
            refresh_token: fields.refresh_token.ok_or_else(|| invalid("the file lacks refresh_token"))?,
            token_uri: token_uri(fields.token_uri)?,
        })
    }
}

/// The token server's URI. Users write it, so the address guard checks it on each connection.
fn token_uri(text: Option<String>) -> Result<Uri, InvalidSetting> {
    let unusable = || invalid("the token_uri of this file is not a URL such as https://oauth2.googleapis.com/token");
    let uri: Uri = non_empty(text).as_deref().unwrap_or(TOKEN_URI).parse().map_err(|_| unusable())?;
    let is_http = matches!(uri.scheme_str(), Some("https" | "http"));
    let has_no_user = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if is_http && has_no_user { Ok(uri) } else { Err(unusable()) }
}

fn non_empty(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn invalid(message: &'static str) -> InvalidSetting {
    InvalidSetting::new(FIELD, message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::sign::tests::service_account;
    use super::*;

    fn message(file: &Value) -> String {
        let error = KeyFile::read(&file.to_string()).unwrap_err();
        assert_eq!(error.field, FIELD);
        error.message.into_owned()
    }

    fn with(field: &str, value: Value) -> Value {
        let mut file = service_account();
        file[field] = value;
        file
    }

    #[test]
    fn a_key_file_is_accepted_with_and_without_a_byte_order_mark() {
        for text in [service_account().to_string(), format!("\u{feff} {}\n", service_account())] {
            let KeyFile::Service(account) = KeyFile::read(&text).unwrap() else { panic!("a service account") };
            assert_eq!(account.email, "test-iam-credentials@dummy-project-id.iam.gserviceaccount.com");
            assert_eq!(account.token_uri, "https://oauth2.googleapis.com/token");
            assert_eq!(account.sign(b"message").unwrap().len(), 256);
            assert!(!format!("{account:?}").contains("PRIVATE"));
        }
        let without = with("token_uri", Value::Null);
        assert!(
            matches!(KeyFile::read(&without.to_string()), Ok(KeyFile::Service(account)) if account.token_uri == TOKEN_URI)
        );
    }

    #[test]
    fn an_error_in_a_key_file_never_quotes_its_content() {
        for text in ["", "/etc/key.json", "{", "[]", "5", "{\"type\": 5}", "{\"private_key\": \"hunter2\""] {
            let message = KeyFile::read(text).unwrap_err().message;
            assert!(message.starts_with("this is not the JSON text"), "{text:?}: {message}");
        }
        assert!(message(&json!({})).contains("no type"));
        assert!(message(&with("type", json!("external_account"))).contains("not supported"));
        assert!(message(&with("client_email", Value::Null)).ends_with("client_email"));
        assert!(message(&with("client_email", json!(" "))).ends_with("client_email"));
        assert!(message(&with("private_key", Value::Null)).ends_with("private_key"));
        let key = service_account()["private_key"].as_str().unwrap().to_owned();
        for broken in ["", "hunter2", &key.replace('\n', " "), &key[..900], &key.replace("MIIEv", "MIIEw")] {
            assert!(message(&with("private_key", json!(broken))).contains("not an RSA key"), "{broken}");
        }
        for uri in ["oauth2", "ftp://h/token", "https://user@h/token", "file:///etc/passwd"] {
            assert!(message(&with("token_uri", json!(uri))).contains("not a URL"), "{uri}");
        }
    }

    #[test]
    fn a_persons_file_needs_all_three_of_its_parts() {
        let whole = json!({
            "type": "authorized_user", "client_id": "c", "client_secret": "hunter2", "refresh_token": "hunter3"
        });
        let read = KeyFile::read(&whole.to_string()).unwrap();
        assert!(!format!("{read:?}").contains("hunter"));
        for part in ["client_id", "client_secret", "refresh_token"] {
            let mut incomplete = whole.clone();
            incomplete[part] = Value::Null;
            assert!(message(&incomplete).ends_with(part));
        }
    }
}
