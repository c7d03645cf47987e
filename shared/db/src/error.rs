//! What can go wrong between a caller and its rows.

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::SqlState;

/// The result of every function here.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure by what the caller does about it.
///
/// `Display` names the failure; the driver's words stay in `source()`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection could be had.
    #[error("no database connection")]
    Pool(#[from] PoolError),
    /// A statement failed.
    #[error("database statement failed{}", .0.code().map(|code| format!(" ({})", code.code())).unwrap_or_default())]
    Postgres(#[from] tokio_postgres::Error),
    /// No answer in time: the connection may be half-open.
    #[error("the database did not answer in time")]
    Silent,
    /// The database only reads: it is a standby, or told so by an operator.
    #[error("the database is read-only")]
    ReadOnly,
    /// Other work of the same [`Share`](crate::Share) holds all of its connections.
    #[error("the share of database connections is in use")]
    ShareInUse,
    /// Another attempt has the job, or it was cancelled: this one must write nothing more.
    #[error("the lease on the job is lost")]
    LeaseLost,
    /// The database lacks commits that it confirmed to this attempt: it was replaced by an older copy of itself.
    #[error("the database lost commits that it had confirmed")]
    CommitsLost,
    /// The storage's server or account changed after the sync was enqueued, and with it the secrets.
    #[error("the storage was moved to another server or account")]
    StorageMoved,
    /// The row is not there.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The rows do not allow it now.
    #[error("{0}")]
    Conflict(String),
    /// A column holds what this program does not understand.
    #[error("unreadable {column} in the database")]
    Unreadable {
        /// Which column.
        column: &'static str,
        /// What is wrong with it; never the value.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Secrets cannot be opened or sealed.
    #[error("{0}")]
    Seal(&'static str),
    /// The database URL cannot be understood.
    #[error("DATABASE_URL is not usable: {0}")]
    Config(String),
    /// The schema could not be brought up to date.
    #[error("migrations failed")]
    Migrate(#[from] refinery::Error),
}

impl Error {
    /// Wraps a value that does not read as what it should be.
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

    /// Whether the values themselves were refused (SQLSTATE class 22, and 54 for what is too large or
    /// too deep), so that asking again is vain.
    pub fn is_data_exception(&self) -> bool {
        self.sql_state().is_some_and(|state| ["22", "54"].iter().any(|class| state.code().starts_with(class)))
    }

    /// Whether a row cannot be read, as one of its values has no text that the server could make: `jsonb` of 80 kB may
    /// print to more than its limit of 1 GB. Reading less at once may work, the same row again never.
    pub fn is_unreadable_row(&self) -> bool {
        // 54000 "out of memory: cannot enlarge string buffer", XX000 "invalid memory alloc request size".
        self.is_data_exception() || self.sql_state() == Some(&SqlState::INTERNAL_ERROR)
    }

    /// Whether a unique key was violated: another process wrote the same row.
    pub fn is_unique_violation(&self) -> bool {
        self.sql_state() == Some(&SqlState::UNIQUE_VIOLATION)
    }

    /// Whether the database could not do the work: stopped, restarting, out of connections, read-only.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Pool(_) | Self::Silent | Self::ReadOnly | Self::ShareInUse => true,
            Self::Postgres(error) => match error.code() {
                // Class 08 connection, 57P operator intervention, 53 resources; 25006 is a database that only reads,
                // such as a standby before its promotion.
                Some(state) => ["08", "57P", "53", "25006"].iter().any(|class| state.code().starts_with(class)),
                None => true,
            },
            Self::LeaseLost
            | Self::CommitsLost
            | Self::StorageMoved
            | Self::NotFound(_)
            | Self::Conflict(_)
            | Self::Unreadable { .. }
            | Self::Seal(_)
            | Self::Config(_)
            | Self::Migrate(_) => false,
        }
    }

    /// Whether all connections of the pool were in use for as long as a caller waits.
    pub fn is_pool_full(&self) -> bool {
        matches!(self, Self::Pool(PoolError::Timeout(TimeoutType::Wait)))
    }
}
