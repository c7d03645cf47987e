//! The seam to the app whose tasks and annotations these are.
//!
//! What differs between hosts is behind [`Host`] and nowhere else: read a storage's settings, insert
//! tasks, read annotations to export. Schema `longshore` itself is ours whatever the host.

mod native;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use longshore_model::{ExportOptions, Secrets, StorageSettings};
use serde_json::value::RawValue;

use crate::syncs::SyncRow;
use crate::{Client, Result, Transaction};

pub use native::Native;

/// A storage as a job uses it.
#[derive(Debug, Clone)]
pub struct JobStorage {
    pub id: i64,
    pub project_id: i64,
    pub settings: StorageSettings,
    pub secrets: Secrets,
    /// The project's label config: it names the data key of blob tasks.
    pub label_config: String,
}

/// A task to insert. JSON texts are written as they came.
#[derive(Debug, Clone)]
pub struct NewTask<'a> {
    pub key: &'a str,
    pub data: &'a str,
    pub meta: Option<&'a str>,
    pub annotations: Vec<NewAnnotation<'a>>,
    pub predictions: Vec<NewPrediction<'a>>,
}

/// An annotation that came with a task.
#[derive(Debug, Clone)]
pub struct NewAnnotation<'a> {
    pub result: &'a str,
    pub was_cancelled: bool,
    pub ground_truth: bool,
    pub lead_time: Option<f64>,
    pub completed_by: Option<i64>,
}

/// A prediction that came with a task.
#[derive(Debug, Clone)]
pub struct NewPrediction<'a> {
    pub result: &'a str,
    pub score: Option<f64>,
    pub model_version: Option<&'a str>,
}

/// Which annotations a page of export takes.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    pub project_id: i64,
    pub storage_id: i64,
    pub sync_id: i64,
    pub options: &'a ExportOptions,
    /// Only units with a larger id, …
    pub after: i64,
    /// … up to and with this one.
    pub until: i64,
    /// So many of them are gone through at most, …
    pub limit: i64,
    /// … and no more once those to write have so many bytes.
    pub bytes: usize,
    /// Bytes that one of them may have, as the database prints it; a larger one is named and not read.
    pub unit_bytes: usize,
}

/// A page of export: of the next units, those that are to be written.
#[derive(Debug, Clone)]
pub struct Selected {
    pub units: Vec<Unit>,
    /// Units that were gone through, whether they are to be written or not.
    pub walked: i64,
    /// The last id that was gone through, from which on the next page reads.
    pub until: i64,
    /// Whether there may be units after it.
    pub more: bool,
    /// Bytes of the largest row: the database connection keeps a buffer of that size.
    pub largest_row: usize,
    /// The last one, if it is to be written and has more bytes than it may; then no other is in the page.
    pub oversize: Option<Oversize>,
}

/// A unit that was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oversize {
    /// Its annotation, or its task.
    pub unit_id: i64,
    /// Bytes as the database prints it; `None` if not all of it was looked at.
    pub bytes: Option<usize>,
}

/// An annotation to export.
#[derive(Debug, Clone)]
pub struct AnnotationRow {
    pub id: i64,
    pub task_id: i64,
    pub project_id: i64,
    pub result: Box<RawValue>,
    pub was_cancelled: bool,
    pub ground_truth: bool,
    pub lead_time: Option<f64>,
    pub completed_by: Option<i64>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The task of exported annotations.
#[derive(Debug, Clone)]
pub struct TaskRow {
    pub id: i64,
    pub project_id: i64,
    pub data: Box<RawValue>,
    pub meta: Box<RawValue>,
    pub total_annotations: i32,
    pub cancelled_annotations: i32,
    pub total_predictions: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// One object to write: an annotation, or a task with all of its annotations.
#[derive(Debug, Clone)]
pub struct Unit {
    pub task: TaskRow,
    pub annotations: Vec<AnnotationRow>,
}

/// The app whose tasks and annotations these are.
#[async_trait]
pub trait Host: Send + Sync {
    /// Reads what a job needs of its storage: settings and project as they were when the sync was enqueued, and the
    /// current secrets, opened, so that new keys repair a running sync.
    ///
    /// # Errors
    /// [`crate::Error::StorageMoved`] if the secrets belong to another server or account by now.
    async fn storage(&self, client: &Client, storage_id: i64, sync_id: i64) -> Result<JobStorage>;

    /// Inserts tasks with their annotations and predictions, and returns the task ids in order.
    async fn insert_tasks(&self, tx: &Transaction<'_>, storage: &JobStorage, tasks: &[NewTask<'_>])
    -> Result<Vec<i64>>;

    /// Shows a sync's status and progress where the host's users look.
    async fn show_status(&self, tx: &Transaction<'_>, sync: &SyncRow) -> Result<()>;

    /// The largest id of what an export job walks: annotations, or tasks.
    async fn last_unit_id(&self, client: &Client, project_id: i64, per_task: bool) -> Result<i64>;

    /// The first of the units that a selection goes through, without reading it.
    async fn next_unit_id(&self, client: &Client, selection: &Selection<'_>, per_task: bool) -> Result<Option<i64>>;

    /// Annotations to write, one a unit, in ascending order of their ids.
    async fn annotations(&self, client: &mut Client, selection: &Selection<'_>) -> Result<Selected>;

    /// Tasks to write with all of their annotations, in ascending order of their ids.
    async fn annotated_tasks(&self, client: &mut Client, selection: &Selection<'_>) -> Result<Selected>;
}
