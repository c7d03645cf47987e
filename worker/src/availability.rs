//! Whether the database is available to the worker.
//!
//! A worker without its database cannot use a message, but another worker may. So it stops consuming until the database
//! answers, and then releases the jobs that it holds without knowing.

use std::sync::Arc;
use std::time::Duration;

use longshore_db::jobs;
use longshore_db::{Db, Error, Result, lifecycle, workers};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;
use uuid::Uuid;

use crate::database_faults::DatabaseFaults;
use crate::leases::{Leases, log_released};

/// Pause between checks of an unavailable database. Each check opens a connection: a shorter pause would load a server
/// that is starting; a longer one would delay every recovery.
const PAUSE: Duration = Duration::from_millis(500);

/// How long one check may take once it has a connection. A database that is silent for this long is unavailable.
const CHECK_TIME: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    /// A call failed, and the database has not been checked since.
    Doubtful,
    Down,
}

/// The known state of the database. Clones share it.
#[derive(Clone)]
pub(crate) struct Availability(Arc<watch::Sender<State>>);

impl Availability {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::Up)))
    }

    /// Reports that a call failed because the database is unavailable. The next step is a check.
    pub(crate) fn doubt(&self) {
        self.0.send_if_modified(|state| {
            let doubted = *state == State::Up;
            if doubted {
                *state = State::Doubtful;
            }
            doubted
        });
    }

    /// Reports that a call failed, and waits for the next check. Returns whether the database is available after all.
    pub(crate) async fn is_up_after_all(&self) -> bool {
        self.doubt();
        self.wait_for(|state| state != State::Doubtful).await == State::Up
    }

    /// Waits until the database is available.
    pub(crate) async fn up(&self) {
        self.wait_for(|state| state == State::Up).await;
    }

    /// Waits until the database is known to be unavailable.
    pub(crate) async fn down(&self) {
        self.wait_for(|state| state == State::Down).await;
    }

    async fn wait_for(&self, is_right: impl Fn(State) -> bool + Send + Sync) -> State {
        let mut states = self.0.subscribe();
        // The sender lives as long as this borrow of it.
        states.wait_for(|state| is_right(*state)).await.map_or(State::Down, |state| *state)
    }

    /// Checks the database when a caller doubts it, until `stop`.
    pub(crate) async fn run(
        &self,
        db: &Db,
        process: Uuid,
        leases: &Leases,
        faults: &DatabaseFaults,
        stop: CancellationToken,
    ) {
        while stop.run_until_cancelled(self.wait_for(|state| state != State::Up)).await.is_some() {
            let checked = check(db, process, leases).await;
            faults.record("check", checked.as_ref());
            match checked {
                Ok(()) => {
                    if self.0.send_replace(State::Up) == State::Down {
                        info!(event = "database_available", "database available again");
                    }
                }
                Err(error) => {
                    if self.0.send_replace(State::Down) != State::Down {
                        let error = db.address().explain(&error);
                        // The board of waits warns once a minute.
                        info!(event = "database_unavailable", error, "database unavailable");
                    }
                    stop.run_until_cancelled(sleep(PAUSE)).await;
                }
            }
        }
    }
}

/// Checks that the database accepts writes. Releases jobs that are leased to this process but that it does not know.
async fn check(db: &Db, process: Uuid, leases: &Leases) -> Result<()> {
    let client = match db.client().await {
        // All connections are in use. That does not mean that the database is unavailable: if it is, their users
        // notice.
        Err(error) if error.is_pool_full() => return Ok(()),
        client => client?,
    };
    let checked = async {
        workers::can_write(&client).await?;
        // Claims whose answers were lost. If an answer arrives only now, its attempt loses the job too, and notices
        // that at its first heartbeat or commit.
        let unknown = jobs::unknown_leases(&client, process, &leases.all()).await?;
        lifecycle::release_unknown(&client, &unknown).await
    };
    let released = timeout(CHECK_TIME, checked).await.unwrap_or(Err(Error::Silent))?;
    if released > 0 {
        log_released(released);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_doubt_is_settled_by_the_next_check() {
        let database = Availability::new();
        assert_eq!(*database.0.borrow(), State::Up);
        let settled = |state| {
            let (caller, checker) = (database.clone(), database.clone());
            async move {
                let check = async move {
                    checker.wait_for(|state| state == State::Doubtful).await;
                    checker.0.send_replace(state);
                };
                tokio::join!(caller.is_up_after_all(), check).0
            }
        };
        assert!(settled(State::Up).await);
        assert!(!settled(State::Down).await);
        database.doubt();
        assert_eq!(*database.0.borrow(), State::Down, "a database that is known to be unavailable is not doubted");
    }
}
