//! A sync as an answer and as an event, and how much memory that takes.

use jiff::{SignedDuration, Timestamp};
use longshore_db::jobs::JobRow;
use longshore_db::syncs::SyncRow;
use longshore_db::{Bounded, Counts};
use longshore_model::{Direction, ExportOptions, JobKind, JobState, StorageKind, SyncStatus};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::answer::{Answer, BYTES_PER_ROW_BYTE};
use crate::api::error::ApiResult;
use crate::api::memory::Reserved;

/// Bytes of a sync or a job without what is long in it. Measured: 700 as they are written.
const ROW_BYTES: usize = 1024;

/// Bytes of the ID of a task in the options of a sync: 8 as a number, up to 20 as text.
const TASK_ID_BYTES: usize = 16;

/// A sync.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct SyncBody {
    id: i64,
    pub(super) storage: i64,
    project: i64,
    kind: StorageKind,
    direction: Direction,
    status: SyncStatus,
    /// What it was told. Left out of events: the tasks of an export take up to a megabyte, every second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ExportOptions, required)]
    options: Option<ExportOptions>,
    requested_by: String,
    idempotency_key: Option<String>,
    /// Why it failed: a word that does not change.
    reason: Option<String>,
    /// Why it failed and what to do, for people.
    detail: Option<String>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    /// What it did so far, by counter.
    counts: Counts,
    /// Objects a second since it started.
    rate: Option<f64>,
    /// The first 1,000, or those after `jobs_after`. Left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Vec<JobBody>>,
    /// If there are more jobs: send it as `jobs_after` for the next ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_jobs_after: Option<i64>,
}

/// One key range of a sync.
#[derive(Debug, Serialize, ToSchema)]
struct JobBody {
    id: i64,
    kind: JobKind,
    state: JobState,
    /// How often a worker has taken it.
    attempt: i32,
    /// Failures in a row without progress.
    failures: i32,
    reason: Option<String>,
    detail: Option<String>,
    counts: Counts,
}

impl SyncBody {
    pub(super) fn new(row: SyncRow, jobs: Option<Bounded<JobRow>>, now: Timestamp) -> Self {
        Self {
            id: row.id,
            storage: row.storage_id,
            project: row.project_id,
            kind: row.kind,
            direction: row.direction,
            status: row.status,
            rate: row
                .started_at
                .and_then(|started| rate(&row.counts, row.finished_at.unwrap_or(now).duration_since(started))),
            options: Some(row.options),
            requested_by: row.requested_by,
            idempotency_key: row.idempotency_key,
            reason: row.reason,
            detail: row.detail,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            counts: row.counts,
            next_jobs_after: jobs.as_ref().filter(|jobs| jobs.is_cut).and_then(|jobs| Some(jobs.rows.last()?.id)),
            jobs: jobs.map(|jobs| jobs.rows.into_iter().map(JobBody::new).collect()),
        }
    }

    /// The same for an event, which comes every second.
    pub(in crate::api) fn without_options(self) -> Self {
        Self { options: None, ..self }
    }

    /// Bytes of its values, as a list counts them.
    fn bytes(&self) -> usize {
        let tasks = self.options.as_ref().map_or(0, |options| options.tasks.len());
        let details = self.jobs.iter().flatten().map(|job| ROW_BYTES + job.detail.as_ref().map_or(0, String::len));
        ROW_BYTES + TASK_ID_BYTES * tasks + self.detail.as_ref().map_or(0, String::len) + details.sum::<usize>()
    }

    /// Bytes of memory that it takes until its answer is written.
    pub(super) fn memory(&self) -> usize {
        BYTES_PER_ROW_BYTE * self.bytes()
    }

    pub(super) async fn answer(self, state: &ApiState, reserved: Reserved) -> ApiResult<Answer> {
        let bytes = self.bytes();
        state.offload.run(bytes, move |_| Answer::write(&self, bytes, reserved)).await
    }
}

impl JobBody {
    fn new(row: JobRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            state: row.state,
            attempt: row.attempt,
            failures: row.failures,
            reason: row.reason,
            detail: row.detail,
            counts: row.counts,
        }
    }
}

/// Objects a second, once there is time to divide by.
fn rate(counts: &Counts, elapsed: SignedDuration) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a rate is read by people, not counted with")]
    let objects = (counts.matched + counts.exported + counts.unchanged + counts.deleted + counts.kept) as f64;
    let seconds = elapsed.as_secs_f64();
    (seconds > 0.0).then(|| objects / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_counts_what_passed_and_needs_time() {
        let counts = Counts { listed: 100, matched: 30, exported: 10, ..Counts::default() };
        assert_eq!(rate(&counts, SignedDuration::from_secs(4)), Some(10.0));
        assert_eq!(rate(&counts, SignedDuration::ZERO), None);
    }
}
