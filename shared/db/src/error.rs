//! The errors of this crate, and how callers classify them.

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::SqlState;

/// The result of the functions in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, classified by what the caller does about it.
///
/// `Display` names the failure; `source()` has the driver's error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pool has no connection: the database is unavailable, or all connections are in use.
    #[error("no database connection")]
    Pool(#[from] PoolError),
    /// A statement failed.
    #[error("database statement failed{}", .0.code().map(|code| format!(" ({})", code.code())).unwrap_or_default())]
    Postgres(#[from] tokio_postgres::Error),
    /// The database did not answer in time: the connection may be half-open.
    #[error("the database did not answer in time")]
    Silent,
    /// The database is read-only: it is a standby, or an operator made it read-only.
    #[error("the database is read-only")]
    ReadOnly,
    /// Other work of the same [`Share`](crate::Share) holds all of its connections.
    #[error("all database connections of this share are in use")]
    ShareInUse,
    /// Another attempt has the job, or the job was cancelled. This attempt must stop writing.
    #[error("the attempt lost its lease on the job")]
    LeaseLost,
    /// The database lacks commits that it had confirmed to this attempt: it was replaced by an older copy of itself.
    #[error("the database lost commits that it had confirmed")]
    CommitsLost,
    /// The storage's server or account, and with it the secrets, changed after the sync was enqueued; or it has no secrets,
    /// and its bucket changed.
    #[error("the storage's server, account or bucket changed during the sync")]
    StorageMoved,
    /// The host took this sync for dead and started another.
    #[error("Label Studio took the sync for dead and started its own")]
    TakenOver,
    /// The host itself is syncing the storage, so no sync of ours can start.
    #[error("Label Studio itself is syncing this storage")]
    SyncLive,
    /// The tasks of the storage are being deleted, so no import can start. The text is for users.
    #[error("{0}")]
    DeletionLive(String),
    /// The row does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The current state of the rows does not allow it. The text is for users.
    #[error("{0}")]
    Conflict(String),
    /// The host's users deleted the storage or its project.
    #[error("{0} or its project was deleted")]
    Deleted(String),
    /// The host's tables are not ones that this release can write. The text is for operators.
    #[error("{0}")]
    HostUnsupported(String),
    /// A table of the host has no IDs left.
    #[error("table `{0}` of the host has no IDs left: its column `id` ends at 2,147,483,647")]
    HostFull(&'static str),
    /// An object refers to a row that the host does not have, such as a user, or repeats a unique value.
    #[error("the host refuses a value of the object{}", .0.as_db_error().and_then(|refused| refused.detail()).map(|detail| format!(": {detail}")).unwrap_or_default())]
    RefusedByHost(#[source] tokio_postgres::Error),
    /// A column has a value that this release cannot read.
    #[error("unreadable {column} in the database")]
    Unreadable {
        /// The column, or a description of the value.
        column: &'static str,
        /// What is wrong. Never has the value itself.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Secrets cannot be sealed or opened. The text is for operators.
    #[error("{0}")]
    Seal(&'static str),
    /// The database URL is no address. Completes a sentence that begins with `DATABASE_URL`.
    #[error("DATABASE_URL {0}")]
    Config(String),
    /// A migration of the schema failed.
    #[error("could not migrate the database schema")]
    Migrate(#[from] refinery::Error),
}

impl Error {
    /// An [`Error::Unreadable`] for a value of `column`.
    pub fn unreadable(column: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unreadable { column, source: source.into() }
    }

    /// The SQLSTATE of a failed statement.
    pub fn sql_state(&self) -> Option<&SqlState> {
        match self {
            Self::Postgres(error) => error.code(),
            _ => None,
        }
    }

    /// Whether Postgres rejected the values themselves: SQLSTATE class 22, or 54 for values that are too large or too
    /// deep. A retry fails again.
    pub fn is_data_exception(&self) -> bool {
        // Not a value in binary form that its column cannot read: the column has another type than before.
        matches!(self, Self::RefusedByHost(_))
            || self.sql_state().is_some_and(|state| ["22", "54"].iter().any(|class| state.code().starts_with(class)))
                && !self.is_of_changed_tables()
    }

    /// Whether a statement failed because the host's tables have changed since it was prepared or written: a column or table
    /// is missing or has another type, a new one must not be null, or a prepared statement has other results.
    pub fn is_of_changed_tables(&self) -> bool {
        let state = self.sql_state();
        [
            SqlState::UNDEFINED_COLUMN,
            SqlState::UNDEFINED_TABLE,
            SqlState::NOT_NULL_VIOLATION,
            SqlState::FEATURE_NOT_SUPPORTED,
            // A value in binary form is longer than its column reads, or shorter.
            SqlState::INVALID_BINARY_REPRESENTATION,
            SqlState::PROTOCOL_VIOLATION,
        ]
        .iter()
        .any(|changed| state == Some(changed))
    }

    /// Whether a row cannot be read, because Postgres cannot print one of its values: 80 kB of `jsonb` may print longer
    /// than the limit of 1 GB. Other rows may still be readable; a retry of the same row fails again.
    pub fn is_unreadable_row(&self) -> bool {
        // 54000 "out of memory: cannot enlarge string buffer", XX000 "invalid memory alloc request size".
        self.is_data_exception() || self.sql_state() == Some(&SqlState::INTERNAL_ERROR)
    }

    /// Whether a unique key was violated, for example because another process wrote the same row.
    pub fn is_unique_violation(&self) -> bool {
        self.sql_state() == Some(&SqlState::UNIQUE_VIOLATION)
    }

    /// Whether the database was unavailable: stopped, restarting, out of connections, or read-only. A retry may
    /// succeed.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Pool(_) | Self::Silent | Self::ReadOnly | Self::ShareInUse => true,
            Self::Postgres(error) => match error.code() {
                // Classes: 08 connection, 57P operator intervention, 53 resources. 25006: the database is read-only,
                // such as a standby before its promotion.
                Some(state) => ["08", "57P", "53", "25006"].iter().any(|class| state.code().starts_with(class)),
                None => true,
            },
            Self::LeaseLost
            | Self::CommitsLost
            | Self::StorageMoved
            | Self::TakenOver
            | Self::SyncLive
            | Self::NotFound(_)
            | Self::Conflict(_)
            | Self::DeletionLive(_)
            | Self::Deleted(_)
            | Self::HostUnsupported(_)
            | Self::HostFull(_)
            | Self::RefusedByHost(_)
            | Self::Unreadable { .. }
            | Self::Seal(_)
            | Self::Config(_)
            | Self::Migrate(_) => false,
        }
    }

    /// Whether a limit of this process refused a connection. That says nothing about the database.
    pub fn is_of_this_process(&self) -> bool {
        self.is_pool_full() || matches!(self, Self::ShareInUse)
    }

    /// Whether the caller timed out because all connections of the pool were in use.
    pub fn is_pool_full(&self) -> bool {
        matches!(self, Self::Pool(PoolError::Timeout(TimeoutType::Wait)))
    }
}
