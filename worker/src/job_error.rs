//! Failures of attempts, and what happens to the job then.

use std::time::Duration;

use longshore_db::host::OutdatedUnit;
use longshore_model::FailureReason;
use longshore_storage::{ErrorKind, StorageError};
use longshore_telemetry::Backoff;

use crate::all_unusable::AllUnusable;

/// How long a job that could not run alone waits. Meanwhile the worker starts the attempts that waited for it; after a
/// shorter wait, they would soon wait for it again.
const AFTER_NOT_ALONE: Duration = Duration::from_secs(5);

/// A failure of an attempt, by its origin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database is unavailable, or its rows do not permit the work.
    #[error(transparent)]
    Db(#[from] longshore_db::Error),
    /// A saved setting of the storage is invalid.
    #[error("the storage's settings cannot be used: {0}")]
    Settings(String),
    /// None of the objects of the first page can be used, all for the same reason.
    #[error(transparent)]
    AllUnusable(#[from] AllUnusable),
    /// Too many workers in a row stopped or stalled during this job.
    #[error("workers stopped or stalled too often in a row")]
    WorkerLost,
    /// The worker's other attempts took too long, so this one could not run alone.
    #[error("other jobs of the worker did not end in time for this one to run alone")]
    NotAlone,
    /// Units of the page changed while their objects were written. The page is not committed before they are written again.
    #[error("{} objects of the page are outdated", .0.len())]
    Outdated(Vec<OutdatedUnit>),
    /// The storage listed out of order. Its listing begins again and follows the server.
    #[error("the storage listed out of order")]
    Relist,
    /// The worker is stopping, and the page did not end in time.
    #[error("the worker is stopping")]
    Draining,
}

/// What happens to the job after a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is written: another attempt has the job, or the job was cancelled.
    Leave,
    /// The job did not fail: it goes back to the queue and is due after this delay.
    Release { delay: Duration },
    /// The job did not fail, but its range means nothing: it lists the whole storage from the beginning, at once.
    Relist,
    /// The job may work later; it is tried again after at least this time.
    Retry { reason: FailureReason, at_least: Duration },
    /// The job cannot work until a user changes something.
    Discard { reason: FailureReason },
}

impl JobError {
    /// What happened and what the user can do, in the words of the storage's kind if the storage failed.
    pub(crate) fn advice(&self, reason: FailureReason) -> String {
        match self {
            Self::Storage(error) => error.advice(),
            _ => reason.advice().to_owned(),
        }
    }

    /// What happens to the job now.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Draining | Self::Outdated(_) => Verdict::Release { delay: Duration::ZERO },
            Self::Relist => Verdict::Relist,
            Self::NotAlone => Verdict::Release { delay: AFTER_NOT_ALONE },
            Self::WorkerLost => Verdict::Discard { reason: FailureReason::WorkerLost },
            Self::AllUnusable(_) => Verdict::Discard { reason: FailureReason::AllObjectsUnusable },
            Self::Settings(_) => Verdict::Discard { reason: FailureReason::InvalidSettings },
            Self::Storage(error) => match error.kind {
                ErrorKind::Throttled { retry_after } => {
                    Verdict::Retry { reason: error.reason, at_least: retry_after.unwrap_or_default() }
                }
                ErrorKind::Unavailable => Verdict::Retry { reason: error.reason, at_least: Duration::ZERO },
                ErrorKind::Cancelled => Verdict::Release { delay: Duration::ZERO },
                ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Invalid => {
                    Verdict::Discard { reason: error.reason }
                }
            },
            Self::Db(longshore_db::Error::LeaseLost) => Verdict::Leave,
            // The fence shows whether it was committed. It counts as a failure; otherwise a database that always stalls
            // would keep the job forever.
            Self::Db(longshore_db::Error::Silent) => {
                Verdict::Retry { reason: FailureReason::Internal, at_least: Duration::ZERO }
            }
            Self::Db(longshore_db::Error::Seal(_)) => Verdict::Discard { reason: FailureReason::SealedSecrets },
            Self::Db(longshore_db::Error::StorageMoved) => Verdict::Discard { reason: FailureReason::StorageMoved },
            Self::Db(longshore_db::Error::Deleted(_)) => Verdict::Discard { reason: FailureReason::StorageDeleted },
            Self::Db(longshore_db::Error::HostUnsupported(_)) => {
                Verdict::Discard { reason: FailureReason::HostUnsupported }
            }
            Self::Db(longshore_db::Error::HostFull(_)) => Verdict::Discard { reason: FailureReason::HostFull },
            Self::Db(longshore_db::Error::TakenOver) => Verdict::Discard { reason: FailureReason::TakenOver },
            Self::Db(longshore_db::Error::SyncLive) => Verdict::Discard { reason: FailureReason::SyncLive },
            // The storage may not start syncs.
            Self::Db(longshore_db::Error::Conflict(_)) => Verdict::Discard { reason: FailureReason::InvalidSettings },
            // The next attempt starts at the row's cursor: this attempt's is no longer true.
            Self::Db(longshore_db::Error::CommitsLost) => Verdict::Release { delay: Duration::ZERO },
            Self::Db(error) if error.is_unavailable() => Verdict::Release { delay: after_unavailable() },
            Self::Db(_) => Verdict::Retry { reason: FailureReason::Internal, at_least: Duration::ZERO },
        }
    }
}

/// How long a job waits after the database was unavailable. The database has answered since then, because the release
/// was written; the pause is for errors that soon occur again, such as a full disk.
fn after_unavailable() -> Duration {
    const PAUSE: Duration = Duration::from_secs(1);
    Backoff { first: PAUSE, longest: PAUSE }.wait(0)
}

/// How long a job waits after its nth consecutive failure: the wait doubles from one second to five minutes, and half
/// of it is random, so that the jobs of one broken storage do not all return at the same time.
pub(crate) fn backoff(failures: i32, at_least: Duration) -> Duration {
    const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(300) };
    /// The longest wait that a storage may request: a longer one would look like a stuck sync.
    const PATIENCE: Duration = Duration::from_secs(900);
    BACKOFF.wait(u32::try_from(failures).unwrap_or_default()).max(at_least.min(PATIENCE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_storage::Op;

    #[test]
    fn a_throttled_job_waits_at_least_as_long_as_the_storage_asks() {
        let retry_after = Some(Duration::from_secs(40));
        let error = StorageError::new(Op::List, ErrorKind::Throttled { retry_after }, FailureReason::Throttled);
        let Verdict::Retry { at_least, .. } = JobError::from(error).verdict() else { panic!("not retried") };
        assert!(backoff(0, at_least) >= Duration::from_secs(40));
    }

    #[test]
    fn the_wait_grows_and_stays_bounded() {
        assert!(backoff(0, Duration::ZERO) <= Duration::from_secs(1));
        assert!(backoff(4, Duration::ZERO) >= Duration::from_secs(8));
        assert!(backoff(1000, Duration::ZERO) <= Duration::from_secs(300));
    }

    #[test]
    fn a_denied_storage_discards_the_job_and_a_lost_lease_leaves_it() {
        let denied = StorageError::new(Op::List, ErrorKind::Denied, FailureReason::AccessDenied);
        assert_eq!(JobError::from(denied).verdict(), Verdict::Discard { reason: FailureReason::AccessDenied });
        assert_eq!(JobError::from(longshore_db::Error::LeaseLost).verdict(), Verdict::Leave);
    }
}
