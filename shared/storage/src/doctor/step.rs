//! The steps of the doctor and their outcomes.

use longshore_model::{Direction, FailureReason};

use super::Snippet;

/// What a step checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Check {
    Settings,
    Resolve,
    Connect,
    Tls,
    Credentials,
    List,
    Paging,
    Get,
    Put,
    Delete,
    Presign,
    Fetch,
    Cors,
}

impl Check {
    /// The steps for a direction, in the order in which they run.
    pub const fn all(direction: Direction) -> &'static [Self] {
        match direction {
            Direction::Import => &[
                Self::Settings,
                Self::Resolve,
                Self::Connect,
                Self::Tls,
                Self::Credentials,
                Self::List,
                Self::Paging,
                Self::Get,
                Self::Presign,
                Self::Fetch,
                Self::Cors,
            ],
            Direction::Export => {
                &[Self::Settings, Self::Resolve, Self::Connect, Self::Tls, Self::Credentials, Self::Put, Self::Delete]
            }
        }
    }

    /// The name in API answers and in the CLI. Stable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Credentials => "credentials",
            Self::List => "list",
            Self::Paging => "paging",
            Self::Get => "get",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Presign => "presign",
            Self::Fetch => "fetch",
            Self::Cors => "cors",
        }
    }
}

/// A step and its outcome. Contains no secret and no presigned URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub check: Check,
    pub outcome: Outcome,
}

/// The outcome of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Ok {
        note: String,
    },
    Failed {
        /// A stable code: a failure reason, or `cors_refused`.
        code: &'static str,
        advice: String,
        /// What to paste to fix it.
        snippets: Vec<Snippet>,
    },
    /// It works, but the user should change it.
    Warning {
        /// A stable code, such as `unencrypted`.
        code: &'static str,
        advice: &'static str,
    },
    /// Not tried, or the result says nothing about this check.
    Skipped {
        why: &'static str,
    },
}

/// Whether a call failed because of the caller's identity and not because of the requested operation.
pub(super) fn is_about_credentials(reason: FailureReason) -> bool {
    matches!(
        reason,
        FailureReason::UnknownAccessKey
            | FailureReason::WrongSecretKey
            | FailureReason::WrongPassword
            | FailureReason::MissingCredentials
            | FailureReason::ExpiredCredentials
            | FailureReason::RoleDenied
            | FailureReason::NoIdentity
            | FailureReason::OwnIdentityDenied
            | FailureReason::ClockSkew
    )
}
