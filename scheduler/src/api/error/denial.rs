//! Why access is denied.

use axum::http::StatusCode;
use longshore_model::FailureReason;

use super::ApiError;

/// Why access is denied. Denied requests are counted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Denial {
    /// The request has no token, and no link where links are accepted.
    MissingToken,
    /// No token has this text, or it was deleted.
    UnknownToken,
    /// The token has expired.
    ExpiredToken,
    /// The role or the projects of the token do not allow it.
    Forbidden,
    /// Longshore did not make this link.
    InvalidLink,
    /// The link has expired.
    ExpiredLink,
    /// The token that the link was made for was deleted, has expired or lost the project.
    EndedLink,
    /// The row exists in a project that the token cannot access. The answer is that of a missing row.
    NotVisible,
    /// The storage would use the processes' own cloud identity, which the operator does not lend to it or to the caller.
    OwnIdentity,
    /// The storage leads to an address that the operator does not allow.
    BlockedAddress,
}

impl Denial {
    pub(crate) const ALL: &[Self] = &[
        Self::MissingToken,
        Self::UnknownToken,
        Self::ExpiredToken,
        Self::Forbidden,
        Self::InvalidLink,
        Self::ExpiredLink,
        Self::EndedLink,
        Self::NotVisible,
        Self::OwnIdentity,
        Self::BlockedAddress,
    ];

    /// The denial behind the failure of a storage. `None` if the storage failed for another reason.
    pub(super) const fn of_storage(reason: FailureReason) -> Option<Self> {
        match reason {
            FailureReason::OwnIdentityDenied => Some(Self::OwnIdentity),
            FailureReason::BlockedAddress => Some(Self::BlockedAddress),
            _ => None,
        }
    }

    /// The word in metrics, in the audit and in logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::MissingToken => "missing_token",
            Self::UnknownToken => "unknown_token",
            Self::ExpiredToken => "expired_token",
            Self::Forbidden => "forbidden",
            Self::InvalidLink => "invalid_link",
            Self::ExpiredLink => "expired_link",
            Self::EndedLink => "ended_link",
            Self::NotVisible => "not_visible",
            Self::OwnIdentity => FailureReason::OwnIdentityDenied.as_str(),
            Self::BlockedAddress => FailureReason::BlockedAddress.as_str(),
        }
    }

    /// The error `code` in answers. A project that a storage's fields name and the token cannot access is a field error
    /// instead: `validation_error`.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::MissingToken | Self::UnknownToken => "unauthorized",
            Self::NotVisible => "not_found",
            Self::ExpiredToken
            | Self::Forbidden
            | Self::InvalidLink
            | Self::ExpiredLink
            | Self::EndedLink
            | Self::OwnIdentity
            | Self::BlockedAddress => self.as_str(),
        }
    }

    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::MissingToken | Self::UnknownToken | Self::ExpiredToken => StatusCode::UNAUTHORIZED,
            Self::NotVisible => StatusCode::NOT_FOUND,
            Self::Forbidden
            | Self::InvalidLink
            | Self::ExpiredLink
            | Self::EndedLink
            | Self::OwnIdentity
            | Self::BlockedAddress => StatusCode::FORBIDDEN,
        }
    }
}

/// The ID and the name of a token, for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenName {
    pub(crate) id: i64,
    pub(crate) name: String,
}

/// Why an answer denies access, and to which token if it is known. An extension of the answer.
#[derive(Debug, Clone)]
pub(crate) struct DeniedAccess {
    pub(crate) denial: Denial,
    pub(crate) token: Option<TokenName>,
}

impl From<Denial> for DeniedAccess {
    fn from(denial: Denial) -> Self {
        Self { denial, token: None }
    }
}

impl ApiError {
    /// Why access is denied, if it is.
    pub(super) fn denied_access(&self) -> Option<DeniedAccess> {
        match self {
            Self::Denied { denial, token, .. } => Some(DeniedAccess { denial: *denial, token: token.clone() }),
            Self::NotVisible(_) => Some(Denial::NotVisible.into()),
            Self::Connection { error, .. } | Self::Storage(error) => Denial::of_storage(error.reason).map(Into::into),
            _ => None,
        }
    }
}
