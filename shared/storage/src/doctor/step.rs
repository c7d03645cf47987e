//! The steps of an examination and what came of them.

use longshore_model::{Direction, FailureReason};

use super::Snippet;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Check {
    Settings,
    Resolve,
    Connect,
    Tls,
    Credentials,
    List,
    Get,
    Put,
    Delete,
    Presign,
    Fetch,
    Cors,
}

impl Check {
    /// The steps of a direction, in the order in which they are tried.
    pub const fn all(direction: Direction) -> &'static [Self] {
        match direction {
            Direction::Import => &[
                Self::Settings,
                Self::Resolve,
                Self::Connect,
                Self::Tls,
                Self::Credentials,
                Self::List,
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

    /// The spelling in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Credentials => "credentials",
            Self::List => "list",
            Self::Get => "get",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Presign => "presign",
            Self::Fetch => "fetch",
            Self::Cors => "cors",
        }
    }
}

/// A step and what came of it. Holds no secret and no signed URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub check: Check,
    pub outcome: Outcome,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Ok {
        note: String,
    },
    Failed {
        /// A word that does not change.
        code: &'static str,
        advice: String,
        /// What to paste to mend it.
        snippets: Vec<Snippet>,
    },
    /// Not tried, or not to be judged.
    Skipped {
        why: &'static str,
    },
}

/// Whether a call failed for who asked, and not for what was asked.
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
            | FailureReason::ClockSkew
    )
}
