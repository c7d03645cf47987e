//! What an unfinished job waits for, as far as its row knows it.

use std::time::Duration;

use jiff::Timestamp;
use longshore_model::{JobState, WaitingFor};
use tokio_postgres::Row;

use crate::Result;
use crate::row::word;

/// The most characters of a stored error. The texts are sentences of this program and shorter.
const MAX_ERROR: usize = 500;

/// What a job waits for, as an attempt writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobWait {
    /// What it waits for.
    pub what: WaitingFor,
    /// How long ago the wait began. Ignored if the row says that the job waits for the same since an earlier time.
    pub age: Duration,
    /// The latest error, as text for users: no key, URL or secret. `None` keeps the one in the row.
    pub error: Option<String>,
}

impl JobWait {
    /// The error as it is stored.
    pub(crate) fn stored_error(&self) -> Option<String> {
        self.error.as_ref().map(|error| error.chars().filter(|c| *c != '\0').take(MAX_ERROR).collect())
    }
}

/// What a heartbeat does to the wait of its job's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitChange {
    /// Nothing is known yet: the row keeps what the last attempt wrote.
    Keep,
    /// The job waits for nothing any more.
    Clear,
    /// The job waits.
    Set(JobWait),
}

impl WaitChange {
    /// The wait to write.
    pub(crate) fn set(&self) -> Option<&JobWait> {
        match self {
            Self::Set(wait) => Some(wait),
            Self::Keep | Self::Clear => None,
        }
    }
}

/// The unfinished job that shows best what a live sync waits for: one that works, if there is one; else the one that has
/// waited longest.
#[derive(Debug, Clone)]
pub struct OpenJob {
    /// `available`, `running` or `retryable`.
    pub state: JobState,
    /// When it is or was due.
    pub due_at: Timestamp,
    /// Seconds since it became due, by the database clock; negative if it is due later.
    pub due_seconds: f64,
    /// Whether its message still waits in the outbox: the broker has not confirmed it.
    pub is_unsent: bool,
    /// When its worker was last seen. `None` if it has none, or its worker stopped in order.
    pub worker_seen_at: Option<Timestamp>,
    /// Seconds since its worker was last seen, by the database clock.
    pub worker_seen_seconds: Option<f64>,
    /// What its row says that it waits for. Written by `retry_later`, `wait_later` and `heartbeat`, cleared by a page
    /// that made progress.
    pub waiting_for: Option<WaitingFor>,
    /// Since when it waits for that, by the database clock. `None` if `waiting_for` is `None`.
    pub waiting_since: Option<Timestamp>,
    /// The latest error, as text for users.
    pub waiting_error: Option<String>,
}

impl OpenJob {
    /// SQL that joins the open job of each sync `s`, which must have columns `id` and `finished_at`. It reads nothing for
    /// a sync that has ended.
    ///
    /// `OFFSET 0` keeps Postgres from reading the index of all unfinished jobs for each sync, which it would do with old
    /// statistics.
    pub(crate) const JOIN: &'static str = "
        LEFT JOIN LATERAL (
            SELECT j.state AS open_state, j.due_at AS open_due_at,
                   extract(epoch FROM now() - j.due_at)::float8 AS open_due_seconds,
                   j.state <> 'running' AND EXISTS (SELECT 1 FROM outbox o WHERE o.job_id = j.id) AS open_is_unsent,
                   w.seen_at AS open_worker_seen_at,
                   extract(epoch FROM now() - w.seen_at)::float8 AS open_worker_seen_seconds,
                   j.waiting_for, j.waiting_since, j.waiting_error
              FROM (SELECT * FROM (SELECT * FROM jobs WHERE s.finished_at IS NULL AND sync_id = s.id OFFSET 0) of_sync
                     WHERE finished_at IS NULL
                     ORDER BY (state = 'running' AND waiting_for IS NULL) DESC, waiting_since, due_at LIMIT 1) j
              LEFT JOIN workers w ON w.name = j.leased_by AND j.state = 'running'
        ) open_job ON true";

    /// SQL for the columns of [`Self::JOIN`].
    pub(crate) const COLUMNS: &'static str = "open_state, open_due_at, open_due_seconds, open_is_unsent, \
        open_worker_seen_at, open_worker_seen_seconds, waiting_for, waiting_since, waiting_error";

    /// Reads the columns; `None` if the sync has no unfinished job.
    pub(crate) fn of(row: &Row) -> Result<Option<Self>> {
        if row.get::<_, Option<&str>>("open_state").is_none() {
            return Ok(None);
        }
        let is_waiting = row.get::<_, Option<&str>>("waiting_for").is_some();
        Ok(Some(Self {
            state: word(row, "open_state")?,
            due_at: row.get("open_due_at"),
            due_seconds: row.get("open_due_seconds"),
            is_unsent: row.get("open_is_unsent"),
            worker_seen_at: row.get("open_worker_seen_at"),
            worker_seen_seconds: row.get("open_worker_seen_seconds"),
            waiting_for: is_waiting.then(|| word(row, "waiting_for")).transpose()?,
            waiting_since: row.get("waiting_since"),
            waiting_error: row.get("waiting_error"),
        }))
    }
}
