//! Users of Label Studio: it decides itself who may sync a storage.
//!
//! A request without a token of Longshore carries what the browser or a client of Label Studio sends: a session cookie or
//! a token. Label Studio is asked for the storage with the same credentials and nothing else. If it shows the storage,
//! the caller may sync it: its open edition has one permission for both.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use longshore_db::Db;
use longshore_db::host::label_studio::is_user;
use longshore_telemetry::error_chain;
use reqwest::Url;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::host_credentials::HostCredentials;
use super::identity::Identity;
use super::known_users::{KnownUsers, SeenStorage};
use crate::api::client_address::ClientAddress;
use crate::api::error::{ApiError, ApiResult};

/// How long Label Studio may take to answer, and how long a question waits for a place. Its answers take about 100 ms on a
/// busy machine.
pub(in crate::api) const LABEL_STUDIO_PATIENCE: Duration = Duration::from_secs(10);

/// Questions at the same time. Label Studio answers a few at once, to its own users, too.
const MOST_QUESTIONS: usize = 16;

/// Bytes of an answer that are read at most. A storage has some kilobytes.
const MOST_BYTES: usize = 1024 * 1024;

/// The email address that Label Studio shows of a removed member.
const REMOVED: &str = "Deleted";

const NOT_PERMITTED: &str = "Label Studio does not permit this to the user.";

/// A running Label Studio that decides about its users.
#[derive(Clone)]
pub struct LabelStudioAccess {
    url: Url,
    http: reqwest::Client,
    /// The database that should be Label Studio's.
    db: Db,
    users: KnownUsers,
    questions: Arc<Semaphore>,
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
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(LABEL_STUDIO_PATIENCE)
            .build()?;
        let questions = Arc::new(Semaphore::new(MOST_QUESTIONS));
        Ok(Self { url, http, db, users: KnownUsers::default(), questions })
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
        // The failure was logged by the request that asked.
        let id = match identity.map_err(|_| ApiError::HostUnavailable)? {
            Identity::User(id) => id,
            Identity::Unknown => return Err(ApiError::no_token()),
            Identity::Refused | Identity::Removed => return Err(ApiError::forbidden(NOT_PERMITTED)),
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

    /// A storage as Label Studio shows it to this user now. `path` is where it does, and `settings` the digest of the
    /// storage's settings.
    ///
    /// # Errors
    /// Label Studio refuses it, or does not answer.
    pub(in crate::api) async fn storage(
        &self,
        user: &HostUser,
        path: &str,
        settings: String,
    ) -> ApiResult<Arc<SeenStorage>> {
        let seen = self.get(&user.credentials, path).await;
        let seen = seen.map(|body| Arc::new(SeenStorage { bytes: body.to_string().len(), body, settings }));
        self.users.keep_storage(&user.credentials, path, seen.as_ref().ok()).await;
        seen
    }

    /// A storage as Label Studio showed it to this user within the last half a minute.
    pub(in crate::api) async fn seen_storage(&self, user: &HostUser, path: &str) -> Option<Arc<SeenStorage>> {
        self.users.seen_storage(&user.credentials, path).await
    }

    /// Asks Label Studio which user these credentials belong to.
    async fn identify(&self, credentials: &HostCredentials) -> ApiResult<Identity> {
        match self.get(credentials, "/api/current-user/whoami").await {
            Ok(body) => {
                let (id, email) = (body.get("id").and_then(Value::as_i64), body.get("email").and_then(Value::as_str));
                let id = id.ok_or_else(|| unavailable("it names no user"))?;
                if email == Some(REMOVED) {
                    return Ok(Identity::Removed);
                }
                // The IDs of another Label Studio are those of other people.
                let known = async { is_user(&self.db.client().await?, id, email.unwrap_or_default()).await };
                if !self.db.in_time(known).await? {
                    return Err(unavailable("it names a user that its database lacks: is it another Label Studio?"));
                }
                Ok(Identity::User(id))
            }
            Err(error) if error.is_unknown_token() => Ok(Identity::Unknown),
            Err(ApiError::Denied { .. }) => Ok(Identity::Refused),
            Err(error) => Err(error),
        }
    }

    /// A document of Label Studio, as this user sees it.
    ///
    /// # Errors
    /// Label Studio refuses it, or does not answer.
    async fn get(&self, credentials: &HostCredentials, path: &str) -> ApiResult<Value> {
        let place = timeout(LABEL_STUDIO_PATIENCE, self.questions.acquire()).await.map_err(unavailable)?;
        let _place = place.map_err(unavailable)?;
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        let mut answer = self.http.get(url).headers(credentials.headers().clone()).send().await.map_err(unavailable)?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED => return Err(ApiError::no_token()),
            StatusCode::FORBIDDEN => return Err(ApiError::forbidden(NOT_PERMITTED)),
            StatusCode::NOT_FOUND => return Err(ApiError::not_found("this storage in Label Studio")),
            status => return Err(unavailable(format!("it answered {status}"))),
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unavailable)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(unavailable("its answer is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(unavailable)
    }
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ApiError {
    let error: Box<dyn std::error::Error + Send + Sync> = error.into();
    tracing::warn!(
        event = "label_studio_unavailable",
        error = error_chain(error.as_ref()),
        "Label Studio does not say who may do what"
    );
    ApiError::HostUnavailable
}
