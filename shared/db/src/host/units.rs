//! What an export reads from the host: units, which become objects.

use jiff::Timestamp;
use longshore_model::ExportOptions;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Which units a page of an export reads. A unit is an annotation, or a task with all of its annotations.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// ID of the project to export.
    pub project_id: i64,
    /// ID of the export storage.
    pub storage_id: i64,
    /// ID of the sync.
    pub sync_id: i64,
    /// What the request for the sync asked to export.
    pub options: &'a ExportOptions,
    /// The page starts after the unit with this ID.
    pub after: i64,
    /// The range ends with this ID, inclusive.
    pub until: i64,
    /// The most units that the page looks at, including units that need no write.
    pub limit: i64,
    /// The page ends when the units to write have this many bytes.
    pub bytes: usize,
    /// The most bytes of one unit, as Postgres prints it. A larger one is reported as oversize, and not read.
    pub unit_bytes: usize,
}

/// A page of an export: the units to write among the next units of the range.
#[derive(Debug, Clone)]
pub struct SelectedUnits {
    /// The units to write, in ascending order of their IDs.
    pub units: Vec<Unit>,
    /// Number of units that the page looked at, including units that need no write.
    pub walked: i64,
    /// ID of the last unit that the page looked at. The next page starts after it.
    pub until: i64,
    /// Whether there may be units after it.
    pub more: bool,
    /// Bytes of the largest row. The database connection keeps a buffer of this size.
    pub largest_row: usize,
    /// A unit that must be written but is too large. Then `units` is empty.
    pub oversize: Option<Oversize>,
}

/// A unit that was not read because it is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oversize {
    /// ID of the annotation or task.
    pub unit_id: i64,
    /// Bytes as Postgres prints it. `None` if the page did not look at all of its rows.
    pub bytes: Option<usize>,
}

/// A unit whose object was written.
#[derive(Debug, Clone, Copy)]
pub struct ExportedUnit<'a> {
    /// ID of the annotation or task.
    pub unit_id: i64,
    /// The unit's `updated_at` when it was read.
    pub updated_at: Timestamp,
    /// IDs of the annotations in the object, ascending.
    pub annotation_ids: &'a [i64],
}

/// A unit that changed since it was read, so that its object is no longer true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutdatedUnit {
    /// ID of the annotation or task.
    pub unit_id: i64,
    /// Whether it was deleted, or the last annotation of the task.
    pub is_deleted: bool,
}

/// An annotation to export.
#[derive(Debug, Clone)]
pub struct AnnotationRow {
    /// ID of the annotation.
    pub id: i64,
    /// ID of its task.
    pub task_id: i64,
    /// ID of the task's project.
    pub project_id: i64,
    /// JSON text of the result.
    pub result: Box<RawValue>,
    /// Whether the annotator skipped the task.
    pub was_cancelled: bool,
    /// Whether it is ground truth: other annotations are compared with it.
    pub ground_truth: bool,
    /// Time to make it, in seconds. `None` if unknown.
    pub lead_time: Option<f64>,
    /// ID of the user who made it. `None` if unknown.
    pub completed_by: Option<i64>,
    /// When it was created, by the database clock.
    pub created_at: Timestamp,
    /// When it was last changed, by the database clock.
    pub updated_at: Timestamp,
    /// What only Label Studio knows of it.
    pub details: AnnotationRowDetails,
}

/// The task of an exported unit.
#[derive(Debug, Clone)]
pub struct TaskRow {
    /// ID of the task.
    pub id: i64,
    /// ID of its project.
    pub project_id: i64,
    /// JSON text of `data`.
    pub data: Box<RawValue>,
    /// JSON text of `meta`.
    pub meta: Box<RawValue>,
    /// Number of annotations that were not cancelled.
    pub total_annotations: i32,
    /// Number of annotations that were cancelled.
    pub cancelled_annotations: i32,
    /// Number of predictions.
    pub total_predictions: i32,
    /// When it was created, by the database clock.
    pub created_at: Timestamp,
    /// When it or one of its annotations was last changed, by the database clock.
    pub updated_at: Timestamp,
    /// What only Label Studio knows of it.
    pub details: TaskDetails,
}

/// What export writes as one object: an annotation, or a task with all of its annotations.
#[derive(Debug, Clone)]
pub struct Unit {
    /// The task.
    pub task: TaskRow,
    /// The annotation, or all annotations of the task.
    pub annotations: Vec<AnnotationRow>,
    /// When any row of it was last changed, as far as the host's exports in mode `changed` look at it.
    pub updated_at: Timestamp,
}

/// Values of an annotation that only Label Studio knows.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AnnotationRowDetails {
    /// The names of the user who made it.
    pub user: Option<UserNames>,
    /// When its draft was created.
    pub draft_created_at: Option<Timestamp>,
    /// Its ID in the file it was imported from.
    pub import_id: Option<i64>,
    /// The last action on it.
    pub last_action: Option<String>,
    /// Whether it was made with others in one request.
    pub bulk_created: Option<bool>,
    /// ID of the user who changed it last.
    pub updated_by_id: Option<i64>,
    /// ID of the prediction it started from.
    pub parent_prediction_id: Option<i64>,
    /// ID of the annotation it started from.
    pub parent_annotation_id: Option<i64>,
    /// ID of the user of the last action.
    pub last_created_by_id: Option<i64>,
    /// JSON text of the prediction that the annotator saw.
    pub prediction: Option<Box<RawValue>>,
    /// Number of distinct regions. `None` means the length of the result.
    pub result_count: Option<i64>,
    /// Its UUID.
    pub unique_id: Option<String>,
}

impl AnnotationRowDetails {
    /// What the native host writes.
    pub fn of_native() -> Self {
        Self { bulk_created: Some(false), ..Self::default() }
    }
}

/// Values of a task that only Label Studio knows.
#[derive(Debug, Clone, Deserialize)]
pub struct TaskDetails {
    /// Whether it has as many annotations as it needs.
    pub is_labeled: bool,
    /// Whether annotators may skip it. The outer `None` means that this version of Label Studio does not have it.
    #[serde(default, deserialize_with = "known")]
    pub allow_skip: Option<Option<bool>>,
    /// Number of annotations it needs.
    pub overlap: i32,
    /// Its number in the project.
    pub inner_id: Option<i64>,
    /// How much its annotations agree. The outer `None` means that this version of Label Studio does not have it.
    #[serde(default, deserialize_with = "known")]
    pub precomputed_agreement: Option<Option<f64>>,
    /// Number of comments.
    pub comment_count: i32,
    /// Number of comments that are not resolved.
    pub unresolved_comment_count: i32,
    /// When a comment was last changed.
    pub last_comment_updated_at: Option<Timestamp>,
    /// ID of the user who changed it last.
    pub updated_by_id: Option<i64>,
    /// ID of the uploaded file it comes from.
    pub file_upload_id: Option<i64>,
    /// Path of that file.
    #[serde(default)]
    pub file_upload: Option<String>,
    /// IDs of the users who wrote comments.
    #[serde(default)]
    pub comment_authors: Vec<i64>,
    /// IDs of its drafts.
    #[serde(default)]
    pub drafts: Vec<i64>,
    /// IDs of its predictions.
    #[serde(default)]
    pub predictions: Vec<i64>,
}

impl TaskDetails {
    /// What the native host writes for a task with this many annotations.
    pub fn of_native(total_annotations: i32) -> Self {
        /// Label Studio's default: one annotation makes a task labeled.
        const OVERLAP: i32 = 1;
        Self {
            is_labeled: total_annotations >= OVERLAP,
            allow_skip: Some(Some(true)),
            overlap: OVERLAP,
            inner_id: None,
            precomputed_agreement: Some(None),
            comment_count: 0,
            unresolved_comment_count: 0,
            last_comment_updated_at: None,
            updated_by_id: None,
            file_upload_id: None,
            file_upload: None,
            comment_authors: Vec::new(),
            drafts: Vec::new(),
            predictions: Vec::new(),
        }
    }
}

/// The names of a user.
#[derive(Debug, Clone, Deserialize)]
pub struct UserNames {
    /// First name, or an empty text.
    pub first_name: String,
    /// Last name, or an empty text.
    pub last_name: String,
    /// Email address.
    pub email: String,
}

/// Reads a member that may be null and may be missing.
fn known<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
