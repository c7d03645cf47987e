//! Users of Label Studio: it decides itself who may sync a storage.
//!
//! A request without a token of Longshore carries what the browser or a client of Label Studio sends: a session cookie or
//! a token. Label Studio is asked for the storage with the same credentials and nothing else. If it shows the storage,
//! the caller may sync it: its open edition has one permission for both.

use std::sync::Arc;

use longshore_db::host::label_studio::{SYNC_FIELDS, is_user};
use longshore_db::{Db, Error as DbError};
use longshore_telemetry::error_chain;
use reqwest::Url;
use serde_json::Value;

use super::host_credentials::HostCredentials;
use super::identity::Identity;
use super::known_users::{KnownUsers, SeenStorage};
use super::questions::{Asking, Questions, Refusal, unavailable};
use crate::api::client_address::ClientAddress;
use crate::api::error::ApiResult;

/// The email address that Label Studio shows of a removed member.
const REMOVED: &str = "Deleted";

/// A running Label Studio that decides about its users.
#[derive(Clone)]
pub struct LabelStudioAccess {
    questions: Questions,
    /// The database that should be Label Studio's.
    db: Db,
    users: KnownUsers,
}

/// A user of Label Studio who may access a storage.
#[derive(Debug, Clone)]
pub(in crate::api) struct HostUser {
    /// ID of the user.
    pub(in crate::api) id: i64,
    /// The name in the audit and in limits.
    pub(in crate::api) name: String,
    credentials: HostCredentials,
    /// The address of the client, as text.
    pub(in crate::api) address: Option<String>,
}

impl HostUser {
    fn new(id: i64, credentials: HostCredentials, address: ClientAddress) -> Self {
        Self { id, name: format!("Label Studio user {id}"), credentials, address: address.to_text() }
    }
}

impl LabelStudioAccess {
    /// Asks the Label Studio at this base URL, such as `http://127.0.0.1:8080`. `db` is its database.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(url: Url, db: Db) -> reqwest::Result<Self> {
        Ok(Self { questions: Questions::new(url)?, db, users: KnownUsers::default() })
    }

    /// Identifies the user of these credentials.
    ///
    /// # Errors
    /// Label Studio does not know them, or does not answer.
    pub(in crate::api) async fn user(
        &self,
        credentials: HostCredentials,
        address: ClientAddress,
    ) -> ApiResult<HostUser> {
        let identity = self.users.identity(&credentials, Box::pin(self.identify(&credentials))).await;
        let id = match identity.map_err(|refusal| *refusal)? {
            Identity::User(id) => id,
            Identity::Unknown => return Err(Refusal::Unknown.into()),
            Identity::Refused | Identity::Removed => return Err(Refusal::Forbidden.into()),
        };
        Ok(HostUser::new(id, credentials, address))
    }

    /// The user of these credentials, if Label Studio has named it a short time ago.
    pub(in crate::api) async fn known_user(
        &self,
        credentials: HostCredentials,
        address: ClientAddress,
    ) -> Option<HostUser> {
        let id = self.users.known(&credentials).await?;
        Some(HostUser::new(id, credentials, address))
    }

    /// A storage as Label Studio shows it to this user, or showed it within the last half a minute. `path` is where it does,
    /// and `settings` reads the digest of the storage's settings, as of [`last_sync`](longshore_db::host::label_studio::last_sync).
    ///
    /// # Errors
    /// Label Studio refuses it, or does not answer.
    pub(in crate::api) async fn storage(
        &self,
        user: &HostUser,
        path: &str,
        settings: impl Future<Output = longshore_db::Result<String>>,
    ) -> ApiResult<Arc<SeenStorage>> {
        let ask = async {
            // Before the question: what a user changes in between is noticed.
            let settings = settings.await.map_err(|error| database(&error))?;
            let mut body = self.questions.get(&user.credentials, path, Asking::User).await?;
            if let Some(body) = body.as_object_mut() {
                SYNC_FIELDS.iter().for_each(|name| drop(body.remove(*name)));
            }
            Ok::<_, Refusal>(SeenStorage { bytes: body.to_string().len(), body, settings })
        };
        let seen = self.users.storage(&user.credentials, path, Box::pin(ask)).await.map_err(|refusal| *refusal);
        if seen.as_ref().is_err_and(|refusal| *refusal == Refusal::Unknown) {
            self.users.forget_user(&user.credentials).await;
        }
        Ok(seen?)
    }

    /// Forgets a storage whose settings have changed.
    pub(in crate::api) async fn forget_storage(&self, user: &HostUser, path: &str) {
        self.users.forget_storage(&user.credentials, path).await;
    }

    /// Asks Label Studio which user these credentials belong to.
    async fn identify(&self, credentials: &HostCredentials) -> Result<Identity, Refusal> {
        let body = match self.questions.get(credentials, "/api/current-user/whoami", Asking::Stranger).await {
            Ok(body) => body,
            Err(Refusal::Unknown) => return Ok(Identity::Unknown),
            Err(Refusal::Forbidden) => return Ok(Identity::Refused),
            Err(refusal) => return Err(refusal),
        };
        let id = body.get("id").and_then(Value::as_i64).ok_or_else(|| unavailable("it names no user"))?;
        let email = body.get("email").and_then(Value::as_str).unwrap_or_default();
        if email == REMOVED {
            return Ok(Identity::Removed);
        }
        // The IDs of another Label Studio are those of other people.
        let known = self.db.in_time(async { is_user(&self.db.client().await?, id, email).await });
        if !known.await.map_err(|error| database(&error))? {
            return Err(unavailable("it names a user that its database lacks: is it another Label Studio?"));
        }
        Ok(Identity::User(id))
    }
}

/// Logs why the database has no answer.
fn database(error: &DbError) -> Refusal {
    tracing::warn!(event = "user_look_failed", error = error_chain(error), "the database does not say who a user is");
    Refusal::Database
}
