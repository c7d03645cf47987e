//! Combines the row of a job with what this process knows to what its sync waits for.

use jiff::Timestamp;
use longshore_db::jobs::OpenJob;
use longshore_db::workers::Crew;
use longshore_model::{Direction, JobState, WaitingFor};
use longshore_telemetry::waiting::Fault;

use super::{SyncWait, WORKER_SEEN_WITHIN};

/// A due job that was not claimed within this many seconds waits for something. Usually it takes milliseconds; with a
/// shorter time, syncs of a busy service would show a wait that is over before anyone reads it.
const UNCLAIMED_SECONDS: f64 = 5.0;

/// What this process knows beside the rows.
pub(super) struct Knowledge {
    pub(super) broker: Option<Fault>,
    pub(super) database: Option<Fault>,
    /// `None` if it has not been read yet.
    pub(super) crew: Option<Crew>,
}

impl Knowledge {
    /// What a live sync with this unfinished job waits for. `None` if it makes progress.
    pub(super) fn wait(self, created_at: Timestamp, direction: Direction, job: &OpenJob) -> Option<SyncWait> {
        // Without writes nothing else can go on.
        if let Some(fault) = self.database {
            let since = fault.since.max(created_at);
            return Some(SyncWait { what: WaitingFor::Database, since, error: Some(fault.error) });
        }
        match job.state {
            // A worker that stopped does not say that its storage answers again.
            JobState::Running => of_lost_worker(job).or_else(|| of_row(job)),
            _ if job.due_seconds < 0.0 => of_row(job),
            _ => self.of_unclaimed(direction, job).or_else(|| of_row(job)),
        }
    }

    /// What a due job without an attempt waits for, if it waits for longer than usual. Its wait began when it became due,
    /// however often this process was started since.
    fn of_unclaimed(&self, direction: Direction, job: &OpenJob) -> Option<SyncWait> {
        let wait = |what, since: Timestamp, error: String| Some(SyncWait { what, since, error: Some(error) });
        let is_late = job.due_seconds >= UNCLAIMED_SECONDS;
        if let Some(fault) = self.broker.as_ref().filter(|_| job.is_unsent || is_late) {
            return wait(WaitingFor::Broker, job.due_at, fault.error.clone());
        }
        if !is_late {
            return None;
        }
        if job.is_unsent {
            let error = "RabbitMQ has not confirmed the message of the job yet.";
            return wait(WaitingFor::Broker, job.due_at, error.to_owned());
        }
        let crew = self.crew?;
        if crew.workers == 0 {
            let since = crew.last_seen_at.map_or(job.due_at, |seen| seen.max(job.due_at));
            return wait(WaitingFor::Worker, since, "No worker is running. Start one.".to_owned());
        }
        let running = if direction == Direction::Import { crew.imports } else { crew.exports };
        if running >= crew.slots {
            let error = format!("All {} slots of the workers are in use.", crew.slots);
            return wait(WaitingFor::Limit, job.due_at, error);
        }
        let error = "No worker has taken the job, although slots are free. Are the workers connected to RabbitMQ?";
        wait(WaitingFor::Worker, job.due_at, error.to_owned())
    }
}

/// What the row says.
fn of_row(job: &OpenJob) -> Option<SyncWait> {
    let (what, since) = job.waiting_for.zip(job.waiting_since)?;
    Some(SyncWait { what, since, error: job.waiting_error.clone() })
}

/// A worker that stopped in the middle of a job: another one continues after the end of its lease.
fn of_lost_worker(job: &OpenJob) -> Option<SyncWait> {
    let is_lost = job.worker_seen_seconds? >= WORKER_SEEN_WITHIN.as_secs_f64();
    let error =
        "The worker of the job stopped or stalled. Another one continues after the end of its lease.".to_owned();
    is_lost.then_some(SyncWait { what: WaitingFor::Worker, since: job.worker_seen_at?, error: Some(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A job that became due at second 100, so many seconds ago.
    fn due(seconds: f64) -> OpenJob {
        OpenJob {
            state: JobState::Available,
            due_at: at(100),
            due_seconds: seconds,
            is_unsent: false,
            worker_seen_at: None,
            worker_seen_seconds: None,
            waiting_for: None,
            waiting_since: None,
            waiting_error: None,
        }
    }

    fn failing(state: JobState, due_seconds: f64) -> OpenJob {
        let error = Some("down".to_owned());
        let (what, since) = (Some(WaitingFor::Storage), Some(at(50)));
        OpenJob { state, waiting_for: what, waiting_since: since, waiting_error: error, ..due(due_seconds) }
    }

    fn fault(second: i64) -> Option<Fault> {
        Some(Fault { since: at(second), error: "fault".to_owned(), cause: String::new() })
    }

    fn crew(workers: i64, slots: i64, imports: i64) -> Option<Crew> {
        Some(Crew { workers, slots, last_seen_at: Some(at(120)), imports, exports: 0 })
    }

    /// What a sync of second 90 waits for, and since which second.
    fn wait(
        broker: Option<Fault>,
        database: Option<Fault>,
        crew: Option<Crew>,
        job: &OpenJob,
    ) -> Option<(WaitingFor, i64)> {
        let wait = Knowledge { broker, database, crew }.wait(at(90), Direction::Import, job)?;
        Some((wait.what, wait.since.as_second()))
    }

    #[test]
    fn a_database_without_writes_comes_first() {
        let running = OpenJob { state: JobState::Running, ..due(9.0) };
        assert_eq!(wait(fault(1), fault(80), crew(0, 0, 0), &running), Some((WaitingFor::Database, 90)));
        assert_eq!(wait(None, fault(95), None, &running), Some((WaitingFor::Database, 95)));
    }

    #[test]
    fn a_running_job_waits_for_what_its_row_says_or_for_the_end_of_a_lost_lease() {
        let running = OpenJob { state: JobState::Running, ..due(9.0) };
        assert_eq!(wait(fault(1), None, crew(0, 0, 0), &running), None, "it needs no message");
        assert_eq!(wait(None, None, None, &failing(JobState::Running, 9.0)), Some((WaitingFor::Storage, 50)));
        let seen =
            |seconds| OpenJob { worker_seen_at: Some(at(110)), worker_seen_seconds: Some(seconds), ..running.clone() };
        assert_eq!(wait(None, None, None, &seen(14.0)), None);
        assert_eq!(wait(None, None, None, &seen(15.0)), Some((WaitingFor::Worker, 110)));
        let stopped = OpenJob {
            worker_seen_at: Some(at(110)),
            worker_seen_seconds: Some(15.0),
            ..failing(JobState::Running, 9.0)
        };
        assert_eq!(
            wait(None, None, None, &stopped),
            Some((WaitingFor::Worker, 110)),
            "not the storage, as the row says"
        );
    }

    #[test]
    fn a_job_that_is_due_later_waits_for_what_its_row_says() {
        assert_eq!(wait(fault(1), None, None, &failing(JobState::Retryable, -9.0)), Some((WaitingFor::Storage, 50)));
        assert_eq!(wait(fault(1), None, None, &due(-9.0)), None);
    }

    #[test]
    fn a_due_job_waits_for_the_broker_a_worker_or_a_slot() {
        let unsent = |seconds| OpenJob { is_unsent: true, ..due(seconds) };
        assert_eq!(wait(fault(1), None, None, &unsent(0.0)), Some((WaitingFor::Broker, 100)));
        assert_eq!(wait(None, None, None, &unsent(4.0)), None, "it is just being sent");
        assert_eq!(wait(None, None, None, &unsent(5.0)), Some((WaitingFor::Broker, 100)));
        assert_eq!(wait(fault(1), None, None, &due(4.0)), None, "a worker may have received it");
        assert_eq!(wait(fault(1), None, None, &due(5.0)), Some((WaitingFor::Broker, 100)));
        assert_eq!(wait(None, None, crew(0, 0, 0), &due(5.0)), Some((WaitingFor::Worker, 120)));
        assert_eq!(wait(None, None, crew(2, 8, 8), &due(5.0)), Some((WaitingFor::Limit, 100)));
        assert_eq!(wait(None, None, crew(2, 8, 7), &due(5.0)), Some((WaitingFor::Worker, 100)));
        assert_eq!(wait(None, None, None, &due(5.0)), None, "nothing is known yet");
    }

    #[test]
    fn a_job_between_two_attempts_still_waits_for_its_storage() {
        let again = failing(JobState::Retryable, 1.0);
        assert_eq!(wait(None, None, crew(1, 8, 0), &again), Some((WaitingFor::Storage, 50)));
    }
}
