//! Chooses the credentials: those in the storage's settings, or the operator's file.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderValue;
use longshore_model::{FailureReason, Secret};

use super::grant;
use super::key_file::{KeyFile, ServiceAccount};
use crate::wire::{Entries, ExpiringCache, Idle, Wire};
use crate::{ErrorKind, InvalidSetting, Op, StorageError};

/// The accounts that this process has used, with their tokens. One instance per process, because opened storages are
/// short-lived.
#[derive(Default)]
pub(crate) struct Accounts {
    /// Keyed by the digest of the whole file: a user without the private key cannot get the token of a user who has
    /// it.
    known: Entries<Vec<u8>, Account>,
}

/// One account and its token.
pub(crate) struct Account {
    file: KeyFile,
    /// The value of an `Authorization` header.
    token: ExpiringCache<HeaderValue>,
}

/// What is wrong with the operator's file. Users do not see its content or path.
#[derive(Debug, thiserror::Error)]
enum OperatorFileError {
    #[error("the file that GOOGLE_APPLICATION_CREDENTIALS names cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("the file that GOOGLE_APPLICATION_CREDENTIALS names is unusable: {}", .0.message)]
    Unusable(InvalidSetting),
}

impl Accounts {
    /// Returns the account of a storage. Makes no request yet.
    ///
    /// # Errors
    /// The storage's credentials are invalid, or neither the storage nor the operator has any.
    pub(crate) fn account(&self, own: Option<&Secret>, operator: Option<&Path>) -> Result<Arc<Account>, StorageError> {
        if let Some(own) = own.filter(|own| !own.expose().trim().is_empty()) {
            return Ok(self.of(own.expose())?);
        }
        let missing =
            |cause| StorageError::with_source(Op::Connect, ErrorKind::Denied, FailureReason::MissingCredentials, cause);
        let path = operator
            .ok_or_else(|| StorageError::new(Op::Connect, ErrorKind::Denied, FailureReason::MissingCredentials))?;
        // Read on each call, because the operator may replace the file while this process runs.
        let text =
            fs::read_to_string(path).map(Secret::new).map_err(|error| missing(OperatorFileError::Unreadable(error)))?;
        self.of(text.expose()).map_err(|setting| missing(OperatorFileError::Unusable(setting)))
    }

    fn of(&self, text: &str) -> Result<Arc<Account>, InvalidSetting> {
        let name = digest(&SHA256, text.as_bytes()).as_ref().to_vec();
        self.known.get(name, |_| Ok(Account { file: KeyFile::read(text)?, token: ExpiringCache::default() }))
    }
}

impl Idle for Account {
    fn is_idle(&self) -> bool {
        self.token.is_empty()
    }
}

impl Account {
    /// The value of an `Authorization` header, valid for some minutes.
    pub(super) async fn authorization(&self, wire: &Wire) -> Result<HeaderValue, StorageError> {
        self.token.get(grant::fetch_token(wire, &self.file)).await
    }

    /// Forgets a token that the server refused.
    pub(super) async fn forget(&self, authorization: &HeaderValue) {
        self.token.forget(|token| token == authorization).await;
    }

    /// The account that can sign URLs. `None` for a person: only a service account has a private key.
    pub(super) fn signer(&self) -> Option<&ServiceAccount> {
        match &self.file {
            KeyFile::Service(account) => Some(account),
            KeyFile::User(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::super::sign::tests::service_account;
    use super::*;

    #[test]
    fn the_same_file_is_the_same_account_and_another_is_another() {
        let accounts = Accounts::default();
        let own = Secret::new(service_account().to_string());
        let first = accounts.account(Some(&own), None).unwrap();
        assert!(Arc::ptr_eq(&first, &accounts.account(Some(&own), None).unwrap()));
        let mut other = service_account();
        other["private_key_id"] = "another".into();
        let other = accounts.account(Some(&Secret::new(other.to_string())), None).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        drop((first, other));
        accounts.account(Some(&Secret::new(format!(" {}", own.expose()))), None).unwrap();
        assert_eq!(accounts.known.len(), 1, "unused accounts are dropped");
    }

    #[test]
    fn a_storage_without_credentials_uses_the_operators_and_reports_what_is_wrong_with_them() {
        let accounts = Accounts::default();
        let path = std::env::temp_dir().join(format!("longshore-gcs-{}", std::process::id()));
        let reason = |operator: Option<&Path>| {
            let error = accounts.account(Some(&Secret::new(" ")), operator).err().unwrap();
            assert_eq!((error.kind, error.reason), (ErrorKind::Denied, FailureReason::MissingCredentials));
            error.source().map(ToString::to_string).unwrap_or_default()
        };
        assert_eq!(reason(None), "");
        assert!(reason(Some(&path)).ends_with("cannot be read"));
        fs::write(&path, "hunter2").unwrap();
        let unusable = reason(Some(&path));
        assert!(unusable.contains("is unusable: this is not the JSON") && !unusable.contains("hunter2"), "{unusable}");
        fs::write(&path, service_account().to_string()).unwrap();
        assert!(accounts.account(None, Some(&path)).unwrap().signer().is_some());
        fs::remove_file(&path).unwrap();
    }
}
