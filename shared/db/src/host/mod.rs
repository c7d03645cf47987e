//! The seam to the app whose tasks and annotations these are.
//!
//! What differs between hosts is behind [`Host`] and nowhere else: read a storage's settings, insert
//! tasks, read annotations to export. Schema `longshore` itself is ours whatever the host.

mod native;

use async_trait::async_trait;
use jiff::Timestamp;
use longshore_model::{ExportOptions, Secrets, StorageSettings};
use serde_json::value::RawValue;

use crate::syncs::SyncRow;
use crate::{Client, Result, Transaction};

pub use native::Native;

/// A storage as a job uses it.
#[derive(Debug, Clone)]
pub struct JobStorage {
    /// Identity of the storage.
    pub id: i64,
    /// The project at the start of the sync.
    pub project_id: i64,
    /// What users had set at the start of the sync.
    pub settings: StorageSettings,
    /// The current secrets, opened.
    pub secrets: Secrets,
    /// The project's label config: it names the data key of blob tasks.
    pub label_config: String,
}

/// A task to insert. JSON texts are written as they came.
#[derive(Debug, Clone)]
pub struct NewTask<'a> {
    /// The key it is imported from.
    pub key: &'a str,
    /// JSON text of `data`.
    pub data: &'a str,
    /// JSON text of `meta`; `None` is an empty object.
    pub meta: Option<&'a str>,
    /// Annotations that came with it.
    pub annotations: Vec<NewAnnotation<'a>>,
    /// Predictions that came with it.
    pub predictions: Vec<NewPrediction<'a>>,
}

/// An annotation that came with a task.
#[derive(Debug, Clone)]
pub struct NewAnnotation<'a> {
    /// JSON text of `result`.
    pub result: &'a str,
    /// Whether the annotator skipped the task.
    pub was_cancelled: bool,
    /// Whether others are compared with it.
    pub ground_truth: bool,
    /// Seconds that it took; `None` if not known.
    pub lead_time: Option<f64>,
    /// ID of the user who made it; `None` if not known.
    pub completed_by: Option<i64>,
}

/// A prediction that came with a task.
#[derive(Debug, Clone)]
pub struct NewPrediction<'a> {
    /// JSON text of `result`.
    pub result: &'a str,
    /// How sure the model was; `None` if it did not say.
    pub score: Option<f64>,
    /// Which model made it; `None` is stored as an empty text.
    pub model_version: Option<&'a str>,
}

/// Which annotations a page of export takes.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// The project whose annotations are exported.
    pub project_id: i64,
    /// The export storage.
    pub storage_id: i64,
    /// The sync that exports.
    pub sync_id: i64,
    /// Which annotations its request asked for.
    pub options: &'a ExportOptions,
    /// Only units with a larger ID, …
    pub after: i64,
    /// … up to and with this one.
    pub until: i64,
    /// At most this many of them are gone through, …
    pub limit: i64,
    /// … and no more once those to write have this many bytes.
    pub bytes: usize,
    /// Bytes that one of them may have, as the database prints it; a larger one is named and not read.
    pub unit_bytes: usize,
}

/// A page of export: of the next units, those that are to be written.
#[derive(Debug, Clone)]
pub struct Selected {
    /// Those to write, in ascending order of their IDs.
    pub units: Vec<Unit>,
    /// Units that were gone through, whether they are to be written or not.
    pub walked: i64,
    /// The last ID that was gone through; the next page reads from there.
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
    /// Identity of the annotation.
    pub id: i64,
    /// The task it belongs to.
    pub task_id: i64,
    /// The task's project.
    pub project_id: i64,
    /// JSON of the result.
    pub result: Box<RawValue>,
    /// Whether the annotator skipped the task.
    pub was_cancelled: bool,
    /// Whether others are compared with it.
    pub ground_truth: bool,
    /// Seconds that it took. `None` if not known.
    pub lead_time: Option<f64>,
    /// ID of the user who made it. `None` if not known.
    pub completed_by: Option<i64>,
    /// When it was made, by the database clock.
    pub created_at: Timestamp,
    /// When it was last changed, by the database clock.
    pub updated_at: Timestamp,
}

/// The task of exported annotations.
#[derive(Debug, Clone)]
pub struct TaskRow {
    /// Identity of the task.
    pub id: i64,
    /// The project.
    pub project_id: i64,
    /// JSON of the data.
    pub data: Box<RawValue>,
    /// JSON of what came beside the data.
    pub meta: Box<RawValue>,
    /// Annotations that were not cancelled.
    pub total_annotations: i32,
    /// Annotations that were cancelled.
    pub cancelled_annotations: i32,
    /// Predictions.
    pub total_predictions: i32,
    /// When it was made, by the database clock.
    pub created_at: Timestamp,
    /// When it or one of its annotations was last changed, by the database clock.
    pub updated_at: Timestamp,
}

/// One object to write: an annotation, or a task with all of its annotations.
#[derive(Debug, Clone)]
pub struct Unit {
    /// The task.
    pub task: TaskRow,
    /// The annotation, or all of the task.
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
