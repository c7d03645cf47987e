//! The account whose key signs: the one in the storage's settings, or the operator's.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use longshore_model::{AzureConnection, AzureSecrets, Secret};
use sha2::Sha256;

use crate::{InvalidSetting, Operator};

/// An account's name and key.
pub(super) struct Account {
    pub(super) name: String,
    /// Initialized with the key once; each signature starts from a clone.
    mac: Hmac<Sha256>,
}

impl Account {
    /// Returns the storage's own account if its settings name one, else the operator's.
    ///
    /// A signature does not cover the host, so a server that receives a request can send it on to the
    /// account. The operator's key therefore signs for the operator's endpoint only.
    pub(super) fn of(
        connection: &AzureConnection,
        secrets: &AzureSecrets,
        operator: &Operator,
    ) -> Result<Self, InvalidSetting> {
        match (text(secrets.account_name.as_ref()), text(secrets.account_key.as_ref())) {
            (Some(name), Some(key)) => Self::new(name, key),
            (Some(_), None) => Err(InvalidSetting::new("account_key", "an account name needs its account key")),
            (None, Some(_)) => Err(InvalidSetting::new("account_name", "an account key needs its account name")),
            (None, None) => {
                let (name, key) =
                    (text(operator.azure_account_name.as_ref()), text(operator.azure_account_key.as_ref()));
                let (Some(name), Some(key)) = (name, key) else {
                    return Err(InvalidSetting::new(
                        "account_name",
                        "enter the account name and the account key, or ask the operator to set the environment variables AZURE_BLOB_ACCOUNT_NAME and AZURE_BLOB_ACCOUNT_KEY",
                    ));
                };
                if super::container::endpoint(connection).is_some() {
                    return Err(InvalidSetting::new(
                        "endpoint",
                        "a custom endpoint needs your own account name and account key: the operator's account works only with the operator's endpoint",
                    ));
                }
                Self::new(name, key)
            }
        }
    }

    pub(super) fn new(name: &str, key: &str) -> Result<Self, InvalidSetting> {
        let is_invalid = |b: u8| !(b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if name.len() > 63 || name.bytes().any(is_invalid) {
            return Err(InvalidSetting::new("account_name", "an account name may contain only letters and digits"));
        }
        let invalid_key = || {
            InvalidSetting::new(
                "account_key",
                "an account key is base64 text: copy all of it from the account's access keys",
            )
        };
        let key = STANDARD.decode(key).ok().filter(|key| !key.is_empty()).ok_or_else(invalid_key)?;
        let mac = Hmac::new_from_slice(&key).map_err(|_| invalid_key())?;
        Ok(Self { name: name.to_owned(), mac })
    }

    /// Signs a text and encodes the signature as Azure expects it.
    pub(super) fn sign(&self, text: &str) -> String {
        let mut mac = self.mac.clone();
        mac.update(text.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

/// A field without the spaces and line breaks that pasting adds.
fn text(secret: Option<&Secret>) -> Option<&str> {
    secret.map(|secret| secret.expose().trim()).filter(|text| !text.is_empty())
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "bG9uZ3Nob3JlLXRlc3Qta2V5";

    fn secrets(name: &str, key: &str) -> AzureSecrets {
        let field = |text: &str| (!text.is_empty()).then(|| Secret::new(text));
        AzureSecrets { account_name: field(name), account_key: field(key) }
    }

    fn operator(name: &str, key: &str) -> Operator {
        let AzureSecrets { account_name, account_key } = secrets(name, key);
        Operator { azure_account_name: account_name, azure_account_key: account_key, ..Operator::default() }
    }

    fn of(endpoint: Option<&str>, own: (&str, &str), operators: (&str, &str)) -> Result<String, &'static str> {
        let connection = AzureConnection { endpoint: endpoint.map(Into::into), ..AzureConnection::default() };
        Account::of(&connection, &secrets(own.0, own.1), &operator(operators.0, operators.1))
            .map(|account| account.name)
            .map_err(|error| error.field)
    }

    #[test]
    fn the_storages_own_account_takes_precedence_over_the_operators() {
        assert_eq!(of(None, (" mine\n", KEY), ("theirs", KEY)), Ok("mine".into()));
        assert_eq!(of(None, ("", ""), ("theirs", KEY)), Ok("theirs".into()));
        assert_eq!(of(None, (" ", ""), ("", "")), Err("account_name"));
        assert_eq!(of(None, ("", ""), ("theirs", "")), Err("account_name"));
    }

    #[test]
    fn half_an_account_names_the_missing_field() {
        assert_eq!(of(None, ("mine", ""), ("theirs", KEY)), Err("account_key"));
        assert_eq!(of(None, ("", KEY), ("theirs", KEY)), Err("account_name"));
    }

    #[test]
    fn the_operators_key_never_signs_for_a_users_endpoint() {
        let endpoint = Some("https://evil.example.com/theirs");
        assert_eq!(of(endpoint, ("", ""), ("theirs", KEY)), Err("endpoint"));
        assert_eq!(of(Some(" "), ("", ""), ("theirs", KEY)), Ok("theirs".into()));
        assert_eq!(of(endpoint, ("mine", KEY), ("theirs", KEY)), Ok("mine".into()));
    }

    #[test]
    fn an_invalid_key_or_name_is_refused() {
        for key in ["hunter2!", "abc", "="] {
            assert_eq!(of(None, ("mine", key), ("", "")), Err("account_key"), "{key:?}");
        }
        for name in ["my.account", "a/b", "a b", "evil.com#", "ä"] {
            assert_eq!(of(None, (name, KEY), ("", "")), Err("account_name"), "{name:?}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(format!("{:?}", Account::new("mine", KEY).unwrap()), "Account");
    }
}
