//! Why the database does not do its work for the moment.

use tokio_postgres::error::SqlState;

use crate::Error;
use crate::migrate::migration_state;

/// A condition of the database in which a later retry may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// It cannot be reached, is starting or stopping, or does not answer.
    Unreachable,
    /// It takes no writes: it is a standby, or an operator made it read-only.
    ReadOnly,
    /// Its disk or a quota of it is full.
    DiskFull,
    /// It has no free connection or no memory, or a pool of this process has no free connection.
    Exhausted,
    /// Another transaction prevented this one: a deadlock, a lock, or a conflict.
    Conflict,
    /// A statement took too long and was cancelled.
    TimedOut,
}

impl Outage {
    /// Every outage.
    pub const ALL: &'static [Self] =
        &[Self::Unreachable, Self::ReadOnly, Self::DiskFull, Self::Exhausted, Self::Conflict, Self::TimedOut];

    /// The stable code in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "database_unavailable",
            Self::ReadOnly => "database_read_only",
            Self::DiskFull => "database_full",
            Self::Exhausted => "database_exhausted",
            Self::Conflict => "database_conflict",
            Self::TimedOut => "database_timed_out",
        }
    }

    /// What happened and what to do, for users.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unreachable => "The database does not answer. Try again in a moment.",
            Self::ReadOnly => {
                "The database is read-only: it is a standby, or it was made read-only. Ask the operator to make it \
                 writable, and try again."
            }
            Self::DiskFull => "The disk of the database is full. Ask the operator to free space, and try again.",
            Self::Exhausted => {
                "The database has no free connection or no free memory. Try again in a moment; if it lasts, ask the \
                 operator to raise its limits."
            }
            Self::Conflict => "Another request changed the same rows at the same time. Try again in a moment.",
            Self::TimedOut => "The database took too long to answer. Try again in a moment.",
        }
    }

    /// How many seconds a client should wait: conflicts end in moments, other outages when an operator or a restart ends
    /// them.
    pub const fn retry_after_seconds(self) -> u16 {
        match self {
            Self::Conflict | Self::Exhausted => 1,
            Self::Unreachable | Self::TimedOut => 5,
            Self::ReadOnly | Self::DiskFull => 30,
        }
    }

    /// Whether everything that writes to the database waits for its end, and not only one statement.
    pub const fn stops_writes(self) -> bool {
        match self {
            Self::Unreachable | Self::ReadOnly | Self::DiskFull | Self::Exhausted => true,
            Self::Conflict | Self::TimedOut => false,
        }
    }

    /// The outage of a failed statement. `None` for a failure that a retry would repeat.
    fn of_state(state: &SqlState) -> Option<Self> {
        let is_of = |class: &str| state.code().starts_with(class);
        match *state {
            SqlState::READ_ONLY_SQL_TRANSACTION => Some(Self::ReadOnly),
            SqlState::DISK_FULL => Some(Self::DiskFull),
            SqlState::QUERY_CANCELED => Some(Self::TimedOut),
            SqlState::LOCK_NOT_AVAILABLE | SqlState::OBJECT_IN_USE => Some(Self::Conflict),
            // The server ended a transaction that was idle for too long.
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Some(Self::TimedOut),
            // Class 53: resources. 40: conflicts of transactions. 08: connections. 57P: an operator. 58: its disk or
            // another part of its system.
            _ if is_of("53") => Some(Self::Exhausted),
            _ if is_of("40") => Some(Self::Conflict),
            _ if is_of("08") || is_of("57P") || is_of("58") => Some(Self::Unreachable),
            _ => None,
        }
    }
}

impl Error {
    /// Why a retry may succeed: the outage of the database behind this failure. `None` for every other failure.
    pub fn outage(&self) -> Option<Outage> {
        match self {
            Self::Postgres(error) => match error.code() {
                Some(state) => Outage::of_state(state),
                // The connection is closed, or never worked.
                None => Some(Outage::Unreachable),
            },
            Self::Pool(_) if self.is_pool_full() => Some(Outage::Exhausted),
            // A server without a free connection or one that starts refuses with a state, too.
            Self::Pool(deadpool_postgres::PoolError::Backend(error)) => {
                Some(error.code().and_then(Outage::of_state).unwrap_or(Outage::Unreachable))
            }
            Self::Pool(_) | Self::Silent => Some(Outage::Unreachable),
            Self::ReadOnly => Some(Outage::ReadOnly),
            Self::ShareInUse => Some(Outage::Exhausted),
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
            | Self::Config(_) => None,
            Self::Migrate(error) => migration_state(error).and_then(Outage::of_state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_of_the_server_has_its_outage() {
        for (state, outage) in [
            ("25006", Some(Outage::ReadOnly)),
            ("53100", Some(Outage::DiskFull)),
            ("53200", Some(Outage::Exhausted)),
            ("53300", Some(Outage::Exhausted)),
            ("57P01", Some(Outage::Unreachable)),
            ("57P03", Some(Outage::Unreachable)),
            ("58030", Some(Outage::Unreachable)),
            ("08006", Some(Outage::Unreachable)),
            ("40001", Some(Outage::Conflict)),
            ("40P01", Some(Outage::Conflict)),
            ("55P03", Some(Outage::Conflict)),
            ("57014", Some(Outage::TimedOut)),
            ("25P03", Some(Outage::TimedOut)),
            ("23505", None),
            ("22P02", None),
            ("42P01", None),
        ] {
            assert_eq!(Outage::of_state(&SqlState::from_code(state)), outage, "{state}");
        }
        assert_eq!(Error::Silent.outage(), Some(Outage::Unreachable));
        assert_eq!(Error::LeaseLost.outage(), None);
    }

    #[test]
    fn texts_say_what_happened_and_what_to_do() {
        for outage in Outage::ALL {
            assert!(outage.text().contains(". ") && outage.text().ends_with('.'), "{outage:?}");
            assert!(outage.code().starts_with("database_"), "{outage:?}");
        }
    }
}
