//! The JSON of a sync in answers and events, and the memory that it takes.

use jiff::{SignedDuration, Timestamp};
use longshore_db::job_warnings::WarnedItems;
use longshore_db::jobs::JobRow;
use longshore_db::syncs::{SyncRow, SyncWarning};
use longshore_db::{Bounded, Counts};
use longshore_model::{Deletion, Direction, ExportOptions, JobKind, JobState, StorageKind, SyncStatus, WaitingFor};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::answer::{Answer, BYTES_PER_ROW_BYTE};
use crate::api::error::ApiResult;
use crate::api::memory::Reserved;
use crate::situation::Situation;

/// Memory of a sync or a job without its long fields, in bytes. Measured: 700 in the answer.
const ROW_BYTES: usize = 1024;

/// Memory of a task ID in the options of a sync, in bytes: 8 as a number, up to 20 as text.
const TASK_ID_BYTES: usize = 16;

/// A sync.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct SyncBody {
    id: i64,
    /// Null for a deletion of all tasks of a project.
    pub(super) storage: Option<i64>,
    project: i64,
    /// Null without a storage, and once a deletion has removed it.
    kind: Option<StorageKind>,
    /// A deletion of tasks has `import`, because it undoes imports.
    direction: Direction,
    /// What a deletion of tasks takes; null for every other sync.
    deletion: Option<Deletion>,
    status: SyncStatus,
    /// The options of the request; null if they cannot be read. Left out of events: the task IDs of an export take up to
    /// a megabyte, every second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ExportOptions>, required)]
    options: Option<Option<ExportOptions>>,
    requested_by: String,
    idempotency_key: Option<String>,
    /// Why it failed, as a stable code for programs; null if it did not fail.
    reason: Option<String>,
    /// Why it failed and what to do, as text for users; null if it did not fail.
    detail: Option<String>,
    /// What a live sync waits for; null if it makes progress or has ended. See `deploy/operations/waiting.md`.
    waiting_for: Option<WaitingFor>,
    /// Since when it waits for that.
    #[serde(serialize_with = "longshore_model::time::serialize_option")]
    waiting_since: Option<Timestamp>,
    /// The latest error, or what holds the sync up, as text for users.
    waiting_error: Option<String>,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize_option")]
    started_at: Option<Timestamp>,
    #[serde(serialize_with = "longshore_model::time::serialize_option")]
    finished_at: Option<Timestamp>,
    /// What it has done so far.
    counts: Counts,
    /// What users should know about it although it is no failure. What was left out of tasks is not in lists.
    warnings: Vec<SyncWarning>,
    /// Objects per second since it started; null before that.
    rate: Option<f64>,
    /// The first 1,000 jobs, or those after `jobs_after`. Left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Vec<JobBody>>,
    /// Present if there are more jobs: send it as `jobs_after` to get the next ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_jobs_after: Option<i64>,
}

/// One job of a sync, which covers a range of keys or IDs.
#[derive(Debug, Serialize, ToSchema)]
struct JobBody {
    id: i64,
    kind: JobKind,
    state: JobState,
    /// How often a worker has claimed it.
    attempt: i32,
    /// Failures since its last progress.
    failures: i32,
    reason: Option<String>,
    detail: Option<String>,
    counts: Counts,
}

impl SyncBody {
    pub(super) fn new(row: SyncRow, jobs: Option<Bounded<JobRow>>, situation: &Situation, now: Timestamp) -> Self {
        let wait = situation.wait_of(&row);
        Self {
            warnings: row.warnings(),
            waiting_for: wait.as_ref().map(|wait| wait.what),
            waiting_since: wait.as_ref().map(|wait| wait.since),
            waiting_error: wait.and_then(|wait| wait.error),
            id: row.id,
            storage: row.storage_id,
            project: row.project_id,
            kind: row.kind,
            direction: row.direction,
            deletion: row.deletion,
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

    /// Adds what its jobs left out of tasks.
    pub(super) fn with_warned(mut self, warned: Vec<WarnedItems>) -> Self {
        self.warnings.extend(warned.into_iter().map(SyncWarning::from));
        self
    }

    /// The sync as events show it.
    pub(in crate::api) fn without_options(self) -> Self {
        Self { options: None, ..self }
    }

    /// The size of its values in bytes, counted as lists count theirs.
    fn bytes(&self) -> usize {
        let tasks = self.options.iter().flatten().map(|options| options.tasks.len()).sum::<usize>();
        let details = self.jobs.iter().flatten().map(|job| ROW_BYTES + job.detail.as_ref().map_or(0, String::len));
        let texts = [&self.detail, &self.waiting_error].into_iter().flatten().map(String::len);
        let warnings = self
            .warnings
            .iter()
            .map(|warning| ROW_BYTES + warning.detail.len() + warning.key.as_ref().map_or(0, String::len));
        ROW_BYTES + warnings.sum::<usize>() + TASK_ID_BYTES * tasks + texts.sum::<usize>() + details.sum::<usize>()
    }

    /// The memory that it takes until its answer is written, in bytes.
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

/// Objects per second; `None` if no time has passed.
fn rate(counts: &Counts, elapsed: SignedDuration) -> Option<f64> {
    let exported = counts.exported + counts.unchanged + counts.deleted + counts.kept + counts.deleted_tasks;
    // In an import `unchanged` counts tasks of objects that `matched` has.
    #[expect(clippy::cast_precision_loss, reason = "a rate for users needs no exact count")]
    let objects = if counts.matched > 0 { counts.matched } else { exported } as f64;
    let seconds = elapsed.as_secs_f64();
    (seconds > 0.0).then(|| objects / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_counts_handled_objects_and_needs_elapsed_time() {
        let import = Counts { listed: 100, matched: 40, unchanged: 70, ..Counts::default() };
        let export = Counts { exported: 10, unchanged: 28, deleted: 1, kept: 1, ..Counts::default() };
        for counts in [import, export] {
            assert_eq!(rate(&counts, SignedDuration::from_secs(4)), Some(10.0), "{counts:?}");
            assert_eq!(rate(&counts, SignedDuration::ZERO), None);
        }
    }
}
