//! What this scheduler knows about the servers and workers that syncs wait for.
//!
//! The row of a job knows what its last attempt waited for. That the broker takes no message, the database no write, or
//! that no worker has a free slot, is known only here. `Situation::wait_of` combines both.

mod derive;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use longshore_broker::Broker;
use longshore_db::jobs::OpenJob;
use longshore_db::syncs::SyncRow;
use longshore_db::workers::Crew;
use longshore_db::{Error, Outage};
use longshore_model::{Direction, WaitingFor};
use longshore_telemetry::error_chain;
use longshore_telemetry::waiting::{Fault, Faults, WaitBoard};

use derive::Knowledge;

/// A worker that did not register for this long has stopped: it registers at least every five seconds, and a busy
/// database may delay a few of these statements. With a longer time, the end of the last worker is shown late.
pub(crate) const WORKER_SEEN_WITHIN: Duration = Duration::from_secs(15);

/// How long a failed tick of a loop is shown without another one. Loops try again within seconds, or wait for an answer
/// for half a minute; one that has nothing to do for longer is no evidence any more.
const TICK_VALID: Duration = Duration::from_secs(60);

/// How long a failed request is shown as a fault of the database. Requests do not come back to report a success.
const REQUEST_VALID: Duration = Duration::from_secs(10);

/// What a sync waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyncWait {
    pub(crate) what: WaitingFor,
    pub(crate) since: Timestamp,
    /// The latest error or the state that holds the sync up, as text for users.
    pub(crate) error: Option<String>,
}

/// What this process knows. Clones share it.
#[derive(Clone)]
pub struct Situation(Arc<Inner>);

struct Inner {
    broker: Broker,
    database: Faults,
    crew: RwLock<Option<Crew>>,
    board: WaitBoard,
}

impl Situation {
    /// Nothing is known yet, except about the broker.
    pub fn new(broker: Broker, board: WaitBoard) -> Self {
        Self(Arc::new(Inner { broker, database: Faults::default(), crew: RwLock::default(), board }))
    }

    /// What a sync waits for; `None` if it makes progress or has ended.
    pub(crate) fn wait_of(&self, sync: &SyncRow) -> Option<SyncWait> {
        // Jobs that delete share the slots of exports.
        let direction = if sync.deletion.is_some() { Direction::Export } else { sync.direction };
        self.wait(sync.created_at, direction, sync.open_job.as_ref())
    }

    /// Like [`Self::wait_of`], for a sync of which only this is known.
    pub(crate) fn wait(
        &self,
        created_at: Timestamp,
        direction: Direction,
        open_job: Option<&OpenJob>,
    ) -> Option<SyncWait> {
        let knowledge = Knowledge {
            broker: self.broker_fault(),
            database: self.database_fault(),
            // Poisoning is harmless: the value is replaced as a whole.
            crew: *self.0.crew.read().unwrap_or_else(PoisonError::into_inner),
        };
        knowledge.wait(created_at, direction, open_job?)
    }

    pub(crate) fn broker_fault(&self) -> Option<Fault> {
        self.0.broker.fault()
    }

    pub(crate) fn database_fault(&self) -> Option<Fault> {
        self.0.database.current()
    }

    pub(crate) fn board(&self) -> &WaitBoard {
        &self.0.board
    }

    /// Replaces what is known about the workers. `None` if it is not known any more.
    pub(crate) fn set_crew(&self, crew: Option<Crew>) {
        *self.0.crew.write().unwrap_or_else(PoisonError::into_inner) = crew;
    }

    /// Records the result of a part that repeats its work, such as a tick of a loop.
    pub(crate) fn record<T>(&self, part: &'static str, result: Result<&T, &Error>) {
        if result.is_err_and(Error::is_of_this_process) {
            return;
        }
        match result.err().and_then(|error| Some((error.outage().filter(|outage| outage.stops_writes())?, error))) {
            Some((outage, error)) => self.0.database.failed_for(TICK_VALID, part, outage.text(), error_chain(error)),
            None => self.0.database.worked(part),
        }
    }

    /// Records that a request failed because of an outage.
    pub(crate) fn record_request(&self, outage: Outage) {
        // The loops notice a server that cannot be reached. Other outages may be the fault of one request.
        if matches!(outage, Outage::ReadOnly | Outage::DiskFull) {
            self.0.database.failed_for(REQUEST_VALID, "requests", outage.text(), outage.code());
        }
    }
}
