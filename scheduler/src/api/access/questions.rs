//! Questions to Label Studio with the credentials of one of its users.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use longshore_db::Error as DbError;
use longshore_telemetry::error_chain;
use reqwest::Url;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::host_credentials::HostCredentials;
use crate::api::error::{ApiError, Denial};

/// How long the answer to a question may take, with the wait for its permit. An answer takes about 100 ms on a busy machine.
pub(in crate::api) const LABEL_STUDIO_PATIENCE: Duration = Duration::from_secs(10);

/// Permits for questions of one kind at the same time. Label Studio computes one answer at a time in each of its processes,
/// and has its own users to serve.
const PERMITS: usize = 8;

/// Bytes of an answer that are read at most. A storage has some kilobytes.
const MOST_BYTES: usize = 1024 * 1024;

/// Why a question has no answer. All callers that wait for the same question get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Refusal {
    /// The credentials belong to no active user.
    Unknown,
    /// The user may not do this.
    Forbidden,
    /// There is no such storage.
    Missing,
    /// Label Studio does not answer as it should. The log has the reason.
    Unavailable,
    /// The database does not answer. The log has the reason.
    Database,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => Self::denied(
                Denial::MissingToken,
                "Label Studio does not know the session or token of this request. Sign in to Label Studio again, or send a \
                 token as `Authorization: Token …`.",
            ),
            Refusal::Forbidden => Self::forbidden("Label Studio does not permit this to the user."),
            Refusal::Missing => {
                Self::NotFound("Label Studio has no such storage, or hides it from this user.".to_owned())
            }
            Refusal::Unavailable => Self::HostUnavailable,
            Refusal::Database => Self::Database(DbError::Silent),
        }
    }
}

/// Who is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    /// Credentials of which nothing is known: anyone can send them.
    Stranger,
    /// A user whom Label Studio has named. Such questions do not wait for those about strangers.
    User,
}

/// A running Label Studio that is asked. Clones share its permits.
#[derive(Clone)]
pub(super) struct Questions {
    url: Url,
    http: reqwest::Client,
    of_strangers: Arc<Semaphore>,
    of_users: Arc<Semaphore>,
}

impl Questions {
    /// Asks the Label Studio at this base URL.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub(super) fn new(url: Url) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        let permits = || Arc::new(Semaphore::new(PERMITS));
        Ok(Self { url, http, of_strangers: permits(), of_users: permits() })
    }

    /// A document of Label Studio, as the user of these credentials sees it.
    ///
    /// # Errors
    /// Label Studio refuses it, or does not answer.
    pub(super) async fn get(
        &self,
        credentials: &HostCredentials,
        path: &str,
        asking: Asking,
    ) -> Result<Value, Refusal> {
        timeout(LABEL_STUDIO_PATIENCE, self.answer(credentials, path, asking)).await.map_err(unavailable)?
    }

    async fn answer(&self, credentials: &HostCredentials, path: &str, asking: Asking) -> Result<Value, Refusal> {
        let permits = match asking {
            Asking::Stranger => &self.of_strangers,
            Asking::User => &self.of_users,
        };
        let _permit = permits.acquire().await.map_err(unavailable)?;
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        let mut answer = self.http.get(url).headers(credentials.headers().clone()).send().await.map_err(unavailable)?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED => return Err(Refusal::Unknown),
            StatusCode::FORBIDDEN => return Err(Refusal::Forbidden),
            StatusCode::NOT_FOUND => return Err(Refusal::Missing),
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

/// Logs why Label Studio has no useful answer.
pub(super) fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Refusal {
    let error: Box<dyn std::error::Error + Send + Sync> = error.into();
    tracing::warn!(
        event = "label_studio_unavailable",
        error = error_chain(error.as_ref()),
        "Label Studio does not say who may do what"
    );
    Refusal::Unavailable
}
