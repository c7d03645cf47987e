//! Writes every failure as the same JSON body. The cause, which only operators should see, is logged once with the ID
//! of the body.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use longshore_db::Outage;
use longshore_db::tasks::Takes;
use longshore_telemetry::error_chain;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ApiError, FieldErrors};

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// The ID of this failure, also in the log.
    #[schema(value_type = String)]
    id: Uuid,
    status_code: u16,
    /// Longshore's version.
    version: &'static str,
    /// What happened and what to do, as text for users.
    detail: String,
    /// Always null.
    exc_info: Option<&'static str>,
    /// Messages by field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Vec<String>>>)]
    validation_errors: Option<FieldErrors>,
    /// The stable code of the failure, for programs.
    code: &'static str,
    /// Send it as `confirm` to do what `takes` describes. Only with code `confirmation_required`.
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm: Option<String>,
    /// What the request would delete. Only with code `confirmation_required`.
    #[serde(skip_serializing_if = "Option::is_none")]
    takes: Option<Takes>,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let id = Uuid::new_v4();
        self.log(id);
        let status = self.status();
        let (limit, retry_after, outage) = (self.limit(), self.retry_after_seconds(), self.outage());
        let denied = self.denied_access();
        let takes = self.takes();
        let body = ErrorBody {
            confirm: takes.map(|takes| takes.tasks.to_string()),
            takes,
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
        if let Some(denied) = denied {
            // For the audit and the metrics, which count denied requests.
            response.extensions_mut().insert(denied);
        }
        if let Some(outage) = outage {
            // For the board of waits.
            response.extensions_mut().insert(outage);
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(limit) = limit {
            // For the metrics, which count refusals by limit.
            response.extensions_mut().insert(limit);
        }
        response
    }
}

impl ApiError {
    fn takes(&self) -> Option<Takes> {
        match self {
            Self::Unconfirmed { takes, .. } => Some(*takes),
            _ => None,
        }
    }

    fn into_fields(self) -> Option<FieldErrors> {
        match self {
            Self::Invalid(fields) | Self::Strict(fields) | Self::SecretsRequired(fields) => Some(fields),
            Self::Connection { field, advice, .. } => Some(FieldErrors::from([(field.into(), vec![advice])])),
            Self::NotVisible(answer) => answer.into_fields(),
            _ => None,
        }
    }

    /// Logs the cause, which the body does not have.
    fn log(&self, id: Uuid) {
        match self {
            // The board of waits warns once a minute; a flood of requests must not be a flood of lines.
            Self::Database(error) if error.outage().is_some_and(Outage::stops_writes) => {
                tracing::debug!(event = "request_delayed", error.id = %id, error = error_chain(error), "the database takes no requests or no writes");
            }
            Self::Database(error) if error.outage().is_some() => {
                tracing::warn!(event = "request_conflicted", error.id = %id, error = error_chain(error), "request lost a conflict in Postgres");
            }
            Self::Database(error) => {
                tracing::error!(event = "request_failed", error.id = %id, error = error_chain(error), "request failed in Postgres");
            }
            Self::Broker(error) => {
                tracing::warn!(event = "request_failed", error.id = %id, error = error_chain(error), "request failed at the broker");
            }
            Self::TimedOut => tracing::error!(event = "request_timed_out", error.id = %id, "request timed out"),
            // Not a bug in Longshore, and any client could fill the log with it.
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
