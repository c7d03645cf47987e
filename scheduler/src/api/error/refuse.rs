//! Makes the failures that handlers refuse requests with.

use std::borrow::Cow;
use std::error::Error as StdError;

use axum::http::StatusCode;
use longshore_model::Connection;
use longshore_storage::{Explanation, StorageError, explain};

use super::{ApiError, Denial, FieldErrors, NON_FIELD, TokenName};

impl ApiError {
    /// The request has no token, and no valid kind of link for its route.
    pub(crate) fn no_token() -> Self {
        let detail = "This request needs a token. Send it as `Authorization: Token …` or `X-Api-Key: …`.";
        Self::denied(Denial::MissingToken, detail)
    }

    pub(crate) fn unknown_token() -> Self {
        Self::denied(Denial::UnknownToken, "Unknown token. Check it, or create another one.")
    }

    pub(crate) fn expired_token(token: TokenName) -> Self {
        Self::denied(Denial::ExpiredToken, "This token has expired. Create another one.").of(token)
    }

    pub(crate) fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::denied(Denial::Forbidden, detail)
    }

    pub(crate) fn denied(denial: Denial, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Denied { denial, detail: detail.into(), token: None }
    }

    /// Names the token that is denied.
    #[must_use]
    pub(crate) fn of(self, name: TokenName) -> Self {
        match self {
            Self::Denied { denial, detail, .. } => Self::Denied { denial, detail, token: Some(name) },
            other => other,
        }
    }

    /// `what` is a noun with its ID, such as `storage 7`.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("There is no {what}, or this token cannot access it."))
    }

    /// The same answer, counted as a denial: the row exists, and the token cannot access it.
    #[must_use]
    pub(crate) fn hiding_a_row(self) -> Self {
        Self::NotVisible(Box::new(self))
    }

    pub(crate) fn no_route() -> Self {
        Self::Route {
            status: StatusCode::NOT_FOUND,
            code: "no_such_route",
            detail: "There is no such route. See /docs for all routes.".to_owned(),
        }
    }

    pub(crate) fn no_page() -> Self {
        Self::Route { status: StatusCode::NOT_FOUND, code: "invalid_page", detail: "Invalid page.".to_owned() }
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::Route {
            status: StatusCode::METHOD_NOT_ALLOWED,
            code: "method_not_allowed",
            detail: "This route does not accept this method. See /docs for its methods.".to_owned(),
        }
    }

    pub(crate) fn unreadable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Unreadable { status: StatusCode::BAD_REQUEST, code, detail: detail.into() }
    }

    /// The data of a task is larger than any answer may be.
    pub(crate) fn task_too_large() -> Self {
        let detail = "The task's data is larger than 40 MiB as Postgres prints it, so it cannot be shown. Import it \
                      as smaller tasks.";
        Self::Unreadable { status: StatusCode::UNPROCESSABLE_ENTITY, code: "task_too_large", detail: detail.to_owned() }
    }

    pub(crate) fn body_too_large() -> Self {
        let detail = "The body is too large.".to_owned();
        Self::Unreadable { status: StatusCode::PAYLOAD_TOO_LARGE, code: "body_too_large", detail }
    }

    /// One field is invalid.
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::invalid_of(field, message)
    }

    /// One field or parameter is invalid, under the name that the request has for it.
    pub(crate) fn invalid_of(field: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::Invalid(FieldErrors::from([(field.into(), vec![message.into()])]))
    }

    /// The storage cannot be used with these settings.
    pub(crate) fn connection(connection: &Connection, error: StorageError) -> Self {
        let Explanation { field, text } = explain(connection, &error);
        Self::Connection { field: field.unwrap_or(NON_FIELD), advice: text, error }
    }

    pub(crate) fn refused(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Refused { code, detail: detail.into() }
    }

    pub(crate) fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }
}
