//! What can go wrong between a caller and its rows.

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
    Pool(#[from] deadpool_postgres::PoolError),
    /// A statement failed.
    #[error("database statement failed{}", .0.code().map(|code| format!(" ({})", code.code())).unwrap_or_default())]
    Postgres(#[from] tokio_postgres::Error),
    /// No answer in time: the connection may be half-open.
    #[error("the database did not answer in time")]
    Silent,
    /// Another attempt has the job, or it was cancelled: this one must write nothing more.
    #[error("the lease on the job is lost")]
    LeaseLost,
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

    /// Whether a unique key was violated: somebody else wrote the same row.
    pub fn is_unique_violation(&self) -> bool {
        self.sql_state() == Some(&SqlState::UNIQUE_VIOLATION)
    }

    /// Whether the database could not be asked at all: gone, restarting, out of connections.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Pool(_) | Self::Silent => true,
            Self::Postgres(error) => match error.code() {
                // Class 08 connection, 57P operator intervention, 53 resources.
                Some(state) => ["08", "57P", "53"].iter().any(|class| state.code().starts_with(class)),
                None => true,
            },
            Self::LeaseLost
            | Self::NotFound(_)
            | Self::Conflict(_)
            | Self::Unreadable { .. }
            | Self::Seal(_)
            | Self::Config(_)
            | Self::Migrate(_) => false,
        }
    }
}
