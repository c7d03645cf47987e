//! What this worker waits for: its database, its broker, storages that do not answer, and limits.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use longshore_broker::Broker;
use longshore_db::Outage;
use longshore_db::jobs::JobWait;
use longshore_model::WaitingFor;
use longshore_storage::ErrorKind;
use longshore_telemetry::waiting::{CurrentWaits, Wait};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::job_error::JobError;

/// Waits of an attempt that are at least this long are shown. Storages answer within a second or two, and a listing
/// that takes longer is worth showing.
pub(crate) const NOTICEABLE: Duration = Duration::from_secs(5);

/// Time between two looks at what this worker waits for.
const PERIOD: Duration = Duration::from_secs(1);

/// What the job of a failed attempt waits for. `None` if a retry needs nothing else to happen.
pub(crate) fn wait_after(error: &JobError) -> Option<JobWait> {
    let wait = |what, age, text: String| Some(JobWait { what, age, error: Some(text) });
    match error {
        JobError::Storage(error) => {
            let what = match error.kind {
                ErrorKind::Throttled { retry_after: Some(_) } => WaitingFor::Pause,
                ErrorKind::Throttled { retry_after: None } => WaitingFor::Limit,
                ErrorKind::Unavailable => WaitingFor::Storage,
                ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::Cancelled => return None,
            };
            wait(what, CurrentWaits::of_current().failing_for(), error.public_text())
        }
        JobError::Db(error) => {
            let outage = error.outage()?;
            wait(WaitingFor::Database, Duration::ZERO, Outage::text(outage).to_owned())
        }
        JobError::NotAlone => {
            let text = "The job must run alone in its worker, whose other jobs have not ended yet.";
            wait(WaitingFor::Limit, Duration::ZERO, text.to_owned())
        }
        JobError::Settings(_)
        | JobError::AllUnusable(_)
        | JobError::WorkerLost
        | JobError::Relist
        | JobError::Draining
        | JobError::Outdated(_) => None,
    }
}

/// Shows what this worker waits for, until `ended`.
pub(crate) async fn run(context: &Context, broker: &Broker, ended: &CancellationToken) {
    while ended.run_until_cancelled(sleep(PERIOD)).await.is_some() {
        let mut waits = of_attempts(context);
        waits.extend(broker.fault().map(|fault| (WaitingFor::Broker, fault.into())));
        waits.extend(context.faults.current().map(|fault| (WaitingFor::Database, fault.into())));
        context.board.show(waits);
    }
}

/// The longest wait of the running attempts for each thing.
fn of_attempts(context: &Context) -> BTreeMap<WaitingFor, Wait> {
    let mut waits = BTreeMap::<WaitingFor, Wait>::new();
    for (what, age, error) in context.leases.waits(NOTICEABLE) {
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::ZERO);
        let wait = Wait { since: Timestamp::now() - age, error, cause: None, syncs: None };
        let longest = waits.entry(what).or_insert_with(|| wait.clone());
        if wait.since < longest.since {
            *longest = wait;
        }
    }
    waits
}

#[cfg(test)]
mod tests {
    use longshore_db::Error as DbError;
    use longshore_model::FailureReason;
    use longshore_storage::{Op, StorageError};

    use super::*;

    #[test]
    fn a_failed_attempt_says_what_its_job_waits_for() {
        let storage = |kind| JobError::from(StorageError::new(Op::List, kind, FailureReason::Unavailable));
        let after = |error: &JobError| wait_after(error).map(|wait| wait.what);
        let retry_after = Some(Duration::from_secs(9));
        assert_eq!(after(&storage(ErrorKind::Unavailable)), Some(WaitingFor::Storage));
        assert_eq!(after(&storage(ErrorKind::Throttled { retry_after })), Some(WaitingFor::Pause));
        assert_eq!(after(&storage(ErrorKind::Throttled { retry_after: None })), Some(WaitingFor::Limit));
        assert_eq!(after(&JobError::Db(DbError::ReadOnly)), Some(WaitingFor::Database));
        assert_eq!(after(&JobError::NotAlone), Some(WaitingFor::Limit));
        for error in [storage(ErrorKind::Denied), JobError::Draining, JobError::Db(DbError::LeaseLost)] {
            assert_eq!(after(&error), None, "{error}");
        }
    }

    #[test]
    fn the_text_for_users_has_no_cause() {
        let source = "http://10.0.0.1/bucket?X-Amz-Signature=hunter2";
        let error = StorageError::with_source(Op::List, ErrorKind::Unavailable, FailureReason::Unreachable, source);
        let text = wait_after(&error.into()).and_then(|wait| wait.error).unwrap();
        assert!(text.contains("storage list failed: unreachable") && !text.contains("hunter2"), "{text}");
    }
}
