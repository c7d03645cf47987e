//! Every failure of the API as one JSON body: what happened, in words and in a stable `code`.
//!
//! What only an operator should know is logged once, with the same id that the caller sees.

use longshore_telemetry::error_chain;
use std::collections::BTreeMap;
use std::error::Error as StdError;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use longshore_model::FailureReason;
use longshore_storage::{ErrorKind, StorageError};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::load::Limit;

/// Messages by field; what belongs to no field is under [`NON_FIELD`].
pub(crate) type FieldErrors = BTreeMap<&'static str, Vec<String>>;

/// Label Studio's name for what belongs to no single field.
pub(crate) const NON_FIELD: &str = "non_field_errors";

/// The result of every handler.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// A request that cannot be answered as asked.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// No token, or one that nobody has.
    Unauthorized(&'static str),
    /// The token may not do this.
    Forbidden(String),
    /// There is no such row, or it lies outside the token's projects.
    NotFound(String),
    /// There is no such route, page or method.
    Route { status: StatusCode, code: &'static str, detail: String },
    /// The request cannot be read.
    Unreadable { status: StatusCode, code: &'static str, detail: String },
    /// Fields of the body or the query are not as they must be.
    Invalid(FieldErrors),
    /// The rows do not allow it now.
    Refused { code: &'static str, detail: String },
    /// The storage cannot be used with these settings.
    Connection { field: &'static str, error: StorageError },
    /// The storage did not give what was asked of it.
    Storage(StorageError),
    /// There is no memory for the answer or the body now.
    NoMemory { code: &'static str, detail: &'static str },
    /// It took longer than anybody should wait.
    TimedOut,
    /// The client takes too long to send its body.
    SlowBody,
    /// As much as the token or the process may do at once is being done.
    Busy(Limit),
    /// The database failed or is away.
    Database(longshore_db::Error),
    /// Longshore's own fault.
    Internal(Box<dyn StdError + Send + Sync>),
}

impl ApiError {
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::Forbidden(detail.into())
    }

    /// `what` is a noun with its id, such as `storage 7`.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("There is no {what}, or it is not yours to see."))
    }

    pub(crate) fn no_route() -> Self {
        Self::Route {
            status: StatusCode::NOT_FOUND,
            code: "no_such_route",
            detail: "There is no such route; see /docs.".to_owned(),
        }
    }

    pub(crate) fn no_page() -> Self {
        Self::Route { status: StatusCode::NOT_FOUND, code: "invalid_page", detail: "Invalid page.".to_owned() }
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::Route {
            status: StatusCode::METHOD_NOT_ALLOWED,
            code: "method_not_allowed",
            detail: "This route does not take this method; see /docs.".to_owned(),
        }
    }

    pub(crate) fn unreadable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Unreadable { status: StatusCode::BAD_REQUEST, code, detail: detail.into() }
    }

    /// A task or annotation whose JSON is larger than any answer may be.
    pub(crate) fn task_too_large() -> Self {
        let detail = "The task's data is larger than 40 MiB as Postgres prints it, so it cannot be shown. Import it \
                      as smaller tasks.";
        Self::Unreadable { status: StatusCode::UNPROCESSABLE_ENTITY, code: "task_too_large", detail: detail.to_owned() }
    }

    pub(crate) fn body_too_large() -> Self {
        let detail = "The body is too large.".to_owned();
        Self::Unreadable { status: StatusCode::PAYLOAD_TOO_LARGE, code: "body_too_large", detail }
    }

    /// One field is wrong.
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid(FieldErrors::from([(field, vec![message.into()])]))
    }

    pub(crate) fn refused(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Refused { code, detail: detail.into() }
    }

    pub(crate) fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Route { status, .. } | Self::Unreadable { status, .. } => *status,
            Self::Connection { error, .. } if error.reason == FailureReason::BlockedAddress => StatusCode::FORBIDDEN,
            Self::Storage(error) => storage_status(error.kind),
            Self::Invalid(_) | Self::Refused { .. } | Self::Connection { .. } => StatusCode::BAD_REQUEST,
            Self::Busy(_) | Self::NoMemory { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(error) if error.is_unavailable() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What happened, for programs: a word that does not change.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized(_) => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::Route { code, .. } | Self::Unreadable { code, .. } | Self::Refused { code, .. } => code,
            Self::NoMemory { code, .. } => code,
            Self::Invalid(_) => "validation_error",
            Self::Connection { error, .. } | Self::Storage(error) => error.reason.as_str(),
            Self::SlowBody => "body_too_slow",
            Self::TimedOut => "timed_out",
            Self::Busy(limit) => limit.code(),
            Self::Database(error) if error.is_unavailable() => "database_unavailable",
            Self::Database(_) | Self::Internal(_) => "internal",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Unauthorized(detail) => (*detail).to_owned(),
            Self::Forbidden(detail) | Self::NotFound(detail) => detail.clone(),
            Self::Route { detail, .. } | Self::Unreadable { detail, .. } | Self::Refused { detail, .. } => {
                detail.clone()
            }
            Self::NoMemory { detail, .. } => (*detail).to_owned(),
            Self::Invalid(_) => "Validation error".to_owned(),
            Self::Busy(limit) => limit.detail().to_owned(),
            Self::Connection { error, .. } | Self::Storage(error) => error.advice(),
            Self::SlowBody => "The body was sent too slowly. Send all of it within 30 seconds.".to_owned(),
            Self::TimedOut => {
                "This took too long, most likely for a database that is silent; try again in a moment.".to_owned()
            }
            Self::Database(error) if error.is_unavailable() => {
                "The database does not answer; try again in a moment.".to_owned()
            }
            Self::Database(_) | Self::Internal(_) => {
                "Something went wrong inside Longshore; the log has more under this id.".to_owned()
            }
        }
    }

    /// The limit that the request reached, if it is refused for one.
    fn limit(&self) -> Option<Limit> {
        match self {
            Self::Busy(limit) => Some(*limit),
            Self::NoMemory { code, .. } => {
                Some(if *code == Limit::TokenBytes.code() { Limit::TokenBytes } else { Limit::Bytes })
            }
            _ => None,
        }
    }

    fn into_fields(self) -> Option<FieldErrors> {
        match self {
            Self::Invalid(fields) => Some(fields),
            Self::Connection { field, error } => Some(FieldErrors::from([(field, vec![error.advice()])])),
            _ => None,
        }
    }

    /// Logs what the caller is not told.
    fn log(&self, id: Uuid) {
        match self {
            Self::Database(error) => {
                tracing::error!(event = "request_failed", error.id = %id, error = error_chain(error), "request failed in Postgres");
            }
            Self::TimedOut => tracing::error!(event = "request_timed_out", error.id = %id, "request timed out"),
            // Nothing of ours is wrong, and any client could fill the log with it.
            Self::SlowBody => tracing::debug!(event = "body_too_slow", error.id = %id, "request body sent too slowly"),
            Self::Internal(error) => {
                tracing::error!(event = "request_failed", error.id = %id, error = error_chain(error.as_ref()), "request failed");
            }
            Self::Connection { error, .. } => {
                tracing::info!(event = "storage_unusable", error.id = %id, error = error_chain(error), "storage does not work as configured");
            }
            Self::Storage(error) => {
                tracing::info!(event = "storage_request_failed", error.id = %id, error = error_chain(error), "storage request failed");
            }
            _ => {}
        }
    }
}

/// 424 is the host's word for a storage that does not give an object.
fn storage_status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Denied | ErrorKind::Invalid => StatusCode::FAILED_DEPENDENCY,
        ErrorKind::Throttled { .. } | ErrorKind::Unavailable | ErrorKind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl From<longshore_db::Error> for ApiError {
    fn from(error: longshore_db::Error) -> Self {
        match error {
            longshore_db::Error::NotFound(what) => Self::not_found(what),
            longshore_db::Error::Conflict(detail) => Self::refused("conflict", detail),
            longshore_db::Error::ShareInUse => Self::Busy(Limit::TokenDatabase),
            error => Self::Database(error),
        }
    }
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// Names this one failure, here and in the log.
    #[schema(value_type = String)]
    id: Uuid,
    status_code: u16,
    /// Longshore's version.
    version: &'static str,
    /// What happened and what to do, for people.
    detail: String,
    /// Always null.
    exc_info: Option<&'static str>,
    /// Messages by field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Vec<String>>>)]
    validation_errors: Option<FieldErrors>,
    /// What happened, for programs: a word that does not change.
    code: &'static str,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let id = Uuid::new_v4();
        self.log(id);
        let status = self.status();
        let limit = self.limit();
        let body = ErrorBody {
            id,
            status_code: status.as_u16(),
            version: env!("CARGO_PKG_VERSION"),
            detail: self.detail(),
            exc_info: None,
            code: self.code(),
            validation_errors: self.into_fields(),
        };
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Token"));
        }
        if let Some(limit) = limit {
            response.headers_mut().insert(header::RETRY_AFTER, limit.retry_after_seconds().into());
            // Counted where all answers are.
            response.extensions_mut().insert(limit);
        }
        response
    }
}

#[cfg(test)]
mod tests;
