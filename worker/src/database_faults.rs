//! What is wrong with the database, as the parts of this worker see it.

use std::time::Duration;

use longshore_db::Error as DbError;
use longshore_telemetry::error_chain;
use longshore_telemetry::waiting::{Fault, Faults};

use crate::job_error::JobError;

/// How long a failure is shown without another one. A heartbeat or an attempt that fails is repeated within seconds, or
/// waits for an answer for half a minute.
const VALID: Duration = Duration::from_secs(60);

/// The faults of the database, as the parts of this worker see them.
#[derive(Clone, Default)]
pub(crate) struct DatabaseFaults(Faults);

impl DatabaseFaults {
    /// Records the result of a part that repeats its work, such as the heartbeat.
    pub(crate) fn record<T>(&self, part: &'static str, result: Result<&T, &DbError>) {
        if result.is_err_and(DbError::is_of_this_process) {
            return;
        }
        match outage(result.err()) {
            Some((error, cause)) => self.0.failed_for(VALID, part, error, cause),
            None => self.0.worked(part),
        }
    }

    /// Records the result of a write of an attempt.
    pub(crate) fn record_write<T>(&self, part: &'static str, result: &Result<T, JobError>) {
        let failure = match result {
            Err(JobError::Db(error)) => Some(error),
            Ok(_) | Err(_) => None,
        };
        if failure.is_some_and(DbError::is_of_this_process) {
            return;
        }
        match outage(failure) {
            Some((error, cause)) => self.0.failed_for(VALID, part, error, cause),
            None => self.0.worked(part),
        }
    }

    pub(crate) fn current(&self) -> Option<Fault> {
        self.0.current()
    }
}

/// The text for users and the causes of an outage that stops all writes.
fn outage(failure: Option<&DbError>) -> Option<(&'static str, String)> {
    let error = failure?;
    error.outage().filter(|outage| outage.stops_writes()).map(|outage| (outage.text(), error_chain(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_without_a_free_connection_is_no_fault_of_the_database() {
        let faults = DatabaseFaults::default();
        faults.record::<()>("heartbeat", Err(&DbError::ShareInUse));
        faults.record_write::<()>("write", &Err(JobError::Db(DbError::ShareInUse)));
        assert!(faults.current().is_none());
        faults.record::<()>("heartbeat", Err(&DbError::Silent));
        faults.record::<()>("heartbeat", Err(&DbError::ShareInUse));
        assert!(faults.current().is_some(), "which does not end a fault, either");
    }
}
