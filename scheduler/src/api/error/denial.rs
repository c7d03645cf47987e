//! Why access is denied.

use axum::http::StatusCode;

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
    ];

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
        }
    }

    /// The error `code` in answers.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::MissingToken | Self::UnknownToken => "unauthorized",
            Self::ExpiredToken | Self::Forbidden | Self::InvalidLink | Self::ExpiredLink | Self::EndedLink => {
                self.as_str()
            }
        }
    }

    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::MissingToken | Self::UnknownToken | Self::ExpiredToken => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::InvalidLink | Self::ExpiredLink | Self::EndedLink => StatusCode::FORBIDDEN,
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
