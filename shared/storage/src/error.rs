//! Errors of storages, classified by what the caller does about them.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use longshore_model::{Connection, FailureReason};

use crate::InvalidSetting;
use crate::cloud::ListingError;
use crate::explain::explain;
use crate::redis::RefusalCode;
use crate::s3::UnsupportedProfile;
use crate::wire::Refusal;

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
    /// Every operation, so that metrics exist before the first call.
    pub const ALL: &'static [Self] =
        &[Self::Connect, Self::List, Self::Get, Self::Put, Self::Delete, Self::Head, Self::Presign];

    /// The name in logs and metric labels. Stable.
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
    /// The reason, from the closed set that users see.
    pub reason: FailureReason,
    source: Option<Box<dyn Error + Send + Sync>>,
    /// The connection of the storage. `None` if the error is not one of an open storage.
    connection: Option<Arc<Connection>>,
}

/// The kinds of failure that lead to different actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nothing is stored under the key.
    NotFound,
    /// The credentials are missing or expired, or do not allow the call.
    Denied,
    /// The request cannot succeed as it is, for example because the bucket does not exist.
    Invalid,
    /// The server asks for fewer requests, with or without a time to wait.
    Throttled { retry_after: Option<Duration> },
    /// No usable answer: a timeout, a broken connection, a 5xx.
    Unavailable,
    /// The caller stopped waiting. Not counted as a failure.
    Cancelled,
}

impl StorageError {
    /// Creates an error without a cause.
    pub fn new(op: Op, kind: ErrorKind, reason: FailureReason) -> Self {
        Self { op, kind, reason, source: None, connection: None }
    }

    /// Creates an error with its cause.
    pub fn with_source(
        op: Op,
        kind: ErrorKind,
        reason: FailureReason,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { op, kind, reason, source: Some(source.into()), connection: None }
    }

    /// Whether a listing came in another order, or from another place, than was asked for. It may still be followed with
    /// [`Paging::Token`](longshore_model::Paging::Token).
    pub fn is_out_of_order(&self) -> bool {
        self.cause::<ListingError>().is_some_and(ListingError::is_out_of_order)
    }

    /// The cause, if it has this type.
    pub(crate) fn cause<E: Error + 'static>(&self) -> Option<&E> {
        self.source.as_deref()?.downcast_ref()
    }

    /// The same error, as one of a storage with this connection.
    pub(crate) fn of(self, connection: &Arc<Connection>) -> Self {
        Self { connection: Some(Arc::clone(connection)), ..self }
    }

    /// What happened and what the user can do, in full sentences and in the words of the storage's kind. Names the invalid
    /// setting or the unsupported AWS profile, if that is the cause, and the server's code.
    ///
    /// Never contains other text from the storage's server, which may contain addresses or keys.
    pub fn advice(&self) -> String {
        match &self.connection {
            Some(connection) => explain(connection, self).text,
            None => self.own_advice().unwrap_or_else(|| self.reason.advice().to_owned()),
        }
    }

    /// The advice of the cause; `None` if only the reason has one.
    pub(crate) fn own_advice(&self) -> Option<String> {
        let setting = self.cause::<InvalidSetting>().map(ToString::to_string);
        setting.or_else(|| self.cause::<UnsupportedProfile>().map(ToString::to_string))
    }

    /// Whether the server refused the call without a code of its API, as another kind of server does.
    pub(crate) fn lacks_code(&self) -> bool {
        self.cause::<Refusal>().is_some_and(|refusal| !refusal.has_code())
    }

    /// The server's status and code for its refusal, such as `403 AccessDenied`. `None` if the server refused nothing.
    pub fn server_code(&self) -> Option<String> {
        let of_cloud = self.cause::<Refusal>().map(Refusal::status_and_code);
        of_cloud.or_else(|| self.cause::<RefusalCode>().map(|RefusalCode(code)| (*code).to_owned()))
    }

    /// The advice and the call that failed, without the cause, which may name addresses.
    pub fn public_text(&self) -> String {
        format!("{} ({self})", self.advice())
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
