//! Storage failures, by what the caller does about them.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use longshore_model::FailureReason;

use crate::InvalidSetting;
use crate::s3::UnsupportedProfile;

/// The call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    Connect,
    List,
    Get,
    Put,
    Delete,
    Head,
    Presign,
}

impl Op {
    /// Every operation, for metrics that exist before they count.
    pub const ALL: &'static [Self] =
        &[Self::Connect, Self::List, Self::Get, Self::Put, Self::Delete, Self::Head, Self::Presign];

    /// The spelling in logs and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::List => "list",
            Self::Get => "get",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Head => "head",
            Self::Presign => "presign",
        }
    }
}

/// A storage call that failed.
///
/// `Display` names the call and the reason, never a key, URL or secret; the cause is in `source()`.
#[derive(Debug)]
pub struct StorageError {
    pub op: Op,
    pub kind: ErrorKind,
    /// Why, as a user-facing closed set.
    pub reason: FailureReason,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The failures that lead to different actions, and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nothing is stored under the key.
    NotFound,
    /// The credentials are missing, expired, or may not do this.
    Denied,
    /// The request cannot succeed as written, such as a bucket that is not there.
    Invalid,
    /// The backend asked for patience, and perhaps said how much.
    Throttled { retry_after: Option<Duration> },
    /// No usable answer: a timeout, a reset connection, a 5xx.
    Unavailable,
    /// The caller gave up waiting; never counted as a failure.
    Cancelled,
}

impl StorageError {
    /// A failure without a cause worth keeping.
    pub fn new(op: Op, kind: ErrorKind, reason: FailureReason) -> Self {
        Self { op, kind, reason, source: None }
    }

    /// A failure with its cause.
    pub fn caused(
        op: Op,
        kind: ErrorKind,
        reason: FailureReason,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { op, kind, reason, source: Some(source.into()) }
    }

    /// What to do about it, in full sentences for the user. Names the setting or the AWS profile that cannot work.
    ///
    /// Never holds the storage's own words, which may contain addresses or keys.
    pub fn advice(&self) -> String {
        let source = self.source.as_deref();
        let setting = source.and_then(|cause| cause.downcast_ref::<InvalidSetting>()).map(ToString::to_string);
        let profile = || source.and_then(|cause| cause.downcast_ref::<UnsupportedProfile>()).map(ToString::to_string);
        setting.or_else(profile).unwrap_or_else(|| self.reason.advice().to_owned())
    }

    /// Whether the same call could succeed later.
    ///
    /// There is no `_` arm: a new kind does not compile until someone decides.
    pub fn is_transient(&self) -> bool {
        match self.kind {
            ErrorKind::Throttled { .. } | ErrorKind::Unavailable => true,
            ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::Cancelled => false,
        }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "storage {} failed: {}", self.op.as_str(), self.reason)
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
