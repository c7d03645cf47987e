//! Every failure of the API: its status, its stable `code` and its message.

mod body;
mod convert;
mod denial;
mod refuse;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error as StdError;

use axum::http::StatusCode;
use longshore_broker::BrokerError;
use longshore_db::Outage;
use longshore_db::tasks::Takes;
use longshore_storage::{ErrorKind, StorageError};

use super::load_limits::Limit;

pub(crate) use body::ErrorBody;
pub(crate) use denial::{Denial, DeniedAccess, TokenName};

/// Messages by field; those that belong to no single field are under [`NON_FIELD`].
pub(crate) type FieldErrors = BTreeMap<Cow<'static, str>, Vec<String>>;

/// Label Studio's name for messages that belong to no single field.
pub(crate) const NON_FIELD: &str = "non_field_errors";

/// The text of a failure that only the operator can look up.
const INTERNAL: &str =
    "Longshore failed. Send the `id` of this answer to the operator: the log has the cause under it.";

/// The result of every handler.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// A request that is refused or failed.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The token or the link is missing or not valid, or may not do this.
    Denied { denial: Denial, detail: Cow<'static, str>, token: Option<TokenName> },
    /// The row is missing, or outside the token's projects.
    NotFound(String),
    /// The row is outside the token's projects. The answer is the failure inside, as if the row were missing.
    NotVisible(Box<Self>),
    /// The route, page or method does not exist.
    Route { status: StatusCode, code: &'static str, detail: String },
    /// The request cannot be read.
    Unreadable { status: StatusCode, code: &'static str, detail: String },
    /// Fields of the body or the query are invalid.
    Invalid(FieldErrors),
    /// Stored secrets must be entered again, because the change would lend them to another server or project.
    SecretsRequired(FieldErrors),
    /// There are warnings, and the request refuses them. Messages by field.
    Strict(FieldErrors),
    /// The current state of the rows does not allow it.
    Refused { code: &'static str, detail: String },
    /// The request deletes tasks, and must say how many.
    Unconfirmed { detail: String, takes: Takes },
    /// The storage cannot be used with these settings.
    Connection { field: &'static str, advice: String, error: StorageError },
    /// A request to the storage failed.
    Storage(StorageError),
    /// The request took longer than its time limit.
    TimedOut,
    /// The client took too long to send its body.
    SlowBody,
    /// The token or the process has reached a limit on concurrent use or memory.
    Busy(Limit),
    /// The database failed or is unavailable.
    Database(longshore_db::Error),
    /// The broker failed or is unavailable.
    Broker(BrokerError),
    /// Label Studio does not say who may do what.
    HostUnavailable,
    /// A bug in Longshore.
    Internal(Box<dyn StdError + Send + Sync>),
}

impl ApiError {
    /// Whether the request has no token of Longshore, or one that Longshore does not know.
    pub(crate) fn is_unknown_token(&self) -> bool {
        matches!(self, Self::Denied { denial: Denial::MissingToken | Denial::UnknownToken, .. })
    }

    /// Whether the row or the object does not exist.
    pub(crate) fn is_missing(&self) -> bool {
        self.status() == StatusCode::NOT_FOUND
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Denied { denial, .. } => denial.status(),
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::NotVisible(answer) => answer.status(),
            Self::Route { status, .. } | Self::Unreadable { status, .. } => *status,
            Self::Connection { error, .. } if let Some(denial) = Denial::of_storage(error.reason) => denial.status(),
            Self::Storage(error) => storage_status(error.kind),
            Self::Invalid(_)
            | Self::Strict(_)
            | Self::SecretsRequired(_)
            | Self::Refused { .. }
            | Self::Connection { .. } => StatusCode::BAD_REQUEST,
            Self::Unconfirmed { .. } => StatusCode::CONFLICT,
            Self::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::TimedOut | Self::Broker(_) | Self::HostUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(error) if error.outage().is_some() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable code of the failure, for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Denied { denial, .. } => denial.code(),
            Self::NotFound(_) => "not_found",
            Self::NotVisible(answer) => answer.code(),
            Self::Route { code, .. } | Self::Unreadable { code, .. } | Self::Refused { code, .. } => code,
            Self::Invalid(_) => "validation_error",
            Self::Strict(_) => "warnings",
            Self::SecretsRequired(_) => "secrets_required",
            Self::Unconfirmed { .. } => "confirmation_required",
            Self::Connection { error, .. } | Self::Storage(error) => error.reason.as_str(),
            Self::SlowBody => "body_too_slow",
            Self::TimedOut => "timed_out",
            Self::Broker(_) => "broker_unavailable",
            Self::HostUnavailable => "label_studio_unavailable",
            Self::Busy(limit) => limit.code(),
            Self::Database(error) => error.outage().map_or("internal", Outage::code),
            Self::Internal(_) => "internal",
        }
    }

    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Denied { detail, .. } => detail.clone().into_owned(),
            Self::NotFound(detail) => detail.clone(),
            Self::NotVisible(answer) => answer.detail(),
            Self::Route { detail, .. }
            | Self::Unreadable { detail, .. }
            | Self::Refused { detail, .. }
            | Self::Unconfirmed { detail, .. } => detail.clone(),
            Self::SecretsRequired(_) => {
                "With this change, stored secrets would go to another address or project. Enter them again.".to_owned()
            }
            Self::Invalid(_) => "Validation error".to_owned(),
            Self::Strict(_) => {
                "There are warnings, and `strict` refuses them. Correct the settings, or leave `strict` out.".to_owned()
            }
            Self::Busy(limit) => limit.detail().to_owned(),
            Self::Connection { advice, .. } => advice.clone(),
            Self::Storage(error) => error.advice(),
            Self::SlowBody => "The body was sent too slowly. Send all of it within 30 seconds.".to_owned(),
            Self::TimedOut => {
                "The request took too long, most likely because the database does not answer. Try again in a moment."
                    .to_owned()
            }
            Self::Broker(_) => "The broker does not answer. Try again in a moment.".to_owned(),
            Self::HostUnavailable => "Label Studio does not answer. Try again in a moment.".to_owned(),
            Self::Database(error) => error.outage().map_or(INTERNAL, Outage::text).to_owned(),
            Self::Internal(_) => INTERNAL.to_owned(),
        }
    }

    /// How many seconds a client should wait before it tries again; `None` if a retry is of no use, or the time is not
    /// known.
    fn retry_after_seconds(&self) -> Option<u16> {
        match self {
            Self::Busy(limit) => Some(limit.retry_after_seconds()),
            Self::Database(error) => error.outage().map(Outage::retry_after_seconds),
            Self::TimedOut => Some(Outage::TimedOut.retry_after_seconds()),
            Self::Storage(error) => match error.kind {
                ErrorKind::Throttled { retry_after } => {
                    // A longer wait is of no use to a person: by then, another request shows what became of it.
                    retry_after.map(|wait| u16::try_from(wait.as_secs()).unwrap_or(u16::MAX).clamp(1, 3_600))
                }
                ErrorKind::NotFound
                | ErrorKind::Denied
                | ErrorKind::Invalid
                | ErrorKind::Unavailable
                | ErrorKind::Cancelled => None,
            },
            _ => None,
        }
    }

    /// The outage of the database behind the failure.
    fn outage(&self) -> Option<Outage> {
        match self {
            Self::Database(error) => error.outage(),
            _ => None,
        }
    }

    /// The limit that the request reached, if that is why it is refused.
    fn limit(&self) -> Option<Limit> {
        match self {
            Self::Busy(limit) => Some(*limit),
            _ => None,
        }
    }
}

/// The status for a failed request to a storage. Label Studio also answers 424 if a storage refuses an object.
fn storage_status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Denied | ErrorKind::Invalid => StatusCode::FAILED_DEPENDENCY,
        ErrorKind::Throttled { .. } | ErrorKind::Unavailable | ErrorKind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests;
