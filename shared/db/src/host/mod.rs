//! The interface to the host, the app that owns tasks and annotations.
//!
//! All differences between hosts are behind [`Host`]: how to read a storage's settings, insert tasks, and read
//! annotations to export. Schema `longshore` itself is the same for every host.

mod control_tags;
mod enqueue;
pub mod label_studio;
mod labels;
mod native;
mod regions;
mod rows;
mod select;
mod units;

use std::str::FromStr;

use async_trait::async_trait;
use jiff::Timestamp;
use longshore_model::{Capabilities, Secrets, StorageSettings};

use crate::syncs::SyncRow;
use crate::{Client, Result, Transaction};

pub use control_tags::{ControlTag, ControlTags};
pub use enqueue::{enqueue, retry};
pub use labels::{AnnotationDetails, KnownReferences, LabelReferences, LabelingRules, SummaryDelta, TaskFormat};
pub use native::{Native, insert_sent_tasks};
pub use regions::{Memory, RegionsError, count_regions};
pub use units::{
    AnnotationRow, AnnotationRowDetails, ExportedUnit, OutdatedUnit, Oversize, SelectedUnits, Selection, TaskDetails,
    TaskRow, Unit, UserNames,
};

/// Which app owns tasks and annotations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HostKind {
    /// Longshore's own tables.
    #[default]
    Native,
    /// A running Label Studio, whose tables are in the same database.
    LabelStudio,
}

impl FromStr for HostKind {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "native" => Ok(Self::Native),
            "label-studio" => Ok(Self::LabelStudio),
            _ => Err("must be native or label-studio".to_owned()),
        }
    }
}

/// A storage as a job uses it.
#[derive(Debug, Clone)]
pub struct JobStorage {
    /// ID of the storage.
    pub id: i64,
    /// ID of its project at the start of the sync.
    pub project_id: i64,
    /// Its settings at the start of the sync.
    pub settings: StorageSettings,
    /// What its listings can do. `None` before the first probe.
    pub capabilities: Option<Capabilities>,
    /// Its current secrets, decrypted.
    pub secrets: Secrets,
    /// The project's current label config, which names the data key of blob tasks.
    pub label_config: String,
    /// What the host's own rules need to know of the project. Defaults with the native host.
    pub rules: LabelingRules,
    /// What an item of an object may have.
    pub task_format: TaskFormat,
    /// What the host's row of the storage has while it has this sync. Empty with the native host.
    pub mark: String,
    /// How its exports are named and written.
    pub export_format: ExportFormat,
}

/// How the objects of an export are named and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFormat {
    /// What the keys of its objects start with.
    pub prefix: String,
    /// Whether keys end in `.json`.
    pub json_suffix: bool,
    /// Whether an object is a task with its annotations, and not an annotation with its task.
    pub per_task: bool,
    /// Whether the JSON has a line per value, and not one line.
    pub is_indented: bool,
    /// Whether an object of a task counts as many times as the task has annotations.
    pub counts_annotations: bool,
}

/// A task to insert. Its JSON texts are written unchanged.
#[derive(Debug, Clone)]
pub struct NewTask<'a> {
    /// Key of the object it is imported from.
    pub key: &'a str,
    /// Its number in an object with several items. `None` if the object is a single item.
    pub row_index: Option<i32>,
    /// JSON text of `data`.
    pub data: &'a str,
    /// JSON text of `meta`. `None` means an empty object.
    pub meta: Option<&'a str>,
    /// Whether annotators may skip it. `None` is stored as null. The native host has no such column.
    pub allow_skip: Option<bool>,
    /// Annotations in the same item.
    pub annotations: Vec<NewAnnotation<'a>>,
    /// Predictions in the same item.
    pub predictions: Vec<NewPrediction<'a>>,
}

/// An annotation to insert with its task.
#[derive(Debug, Clone)]
pub struct NewAnnotation<'a> {
    /// JSON text of `result`. `None` is stored as null, which the native host never has.
    pub result: Option<&'a str>,
    /// Whether the annotator skipped the task.
    pub was_cancelled: bool,
    /// Whether it is ground truth: other annotations are compared with it.
    pub ground_truth: bool,
    /// Time to make it, in seconds. `None` if unknown.
    pub lead_time: Option<f64>,
    /// ID of the user who made it. `None` if unknown.
    pub completed_by: Option<i64>,
    /// What only Label Studio stores. `None` with the native host.
    pub details: Option<&'a AnnotationDetails>,
}

/// A prediction to insert with its task. The native host does not store the last five fields.
#[derive(Debug, Clone)]
pub struct NewPrediction<'a> {
    /// JSON text of `result`. `None` is stored as null, which the native host never has.
    pub result: Option<&'a str>,
    /// The model's confidence, in the model's unit. `None` if it gave none.
    pub score: Option<f64>,
    /// Version of the model. `None` is stored as an empty text.
    pub model_version: Option<&'a str>,
    /// Number of its cluster.
    pub cluster: Option<i32>,
    /// JSON text of `neighbors`.
    pub neighbors: Option<&'a str>,
    /// How probably the task is labeled wrongly.
    pub mislabeling: f64,
    /// ID of the ML backend that made it.
    pub model: Option<i32>,
    /// ID of the run of a model that made it.
    pub model_run: Option<i32>,
}

/// The app that owns tasks and annotations.
///
/// Any function here fails while the database is unavailable; `# Errors` names the other cases.
#[async_trait]
pub trait Host: Send + Sync {
    /// Reads what a job needs to know about its storage: the settings and project from the start of the sync, and the
    /// current secrets, decrypted, so that new credentials repair a running sync.
    ///
    /// # Errors
    /// [`crate::Error::StorageMoved`] if the current secrets belong to another server or account, or there are none and
    /// the bucket changed, [`crate::Error::LeaseLost`] if the sync has ended, and [`crate::Error::Seal`] if the secrets
    /// cannot be decrypted.
    async fn storage(&self, client: &Client, storage_id: i64, sync_id: i64) -> Result<JobStorage>;

    /// Whether a sync counts the tasks of known objects, besides the objects.
    fn counts_known_tasks(&self) -> bool {
        false
    }

    /// Prepares the ledger for an import. Called before the first page of a sync is listed, again if that page is
    /// repeated.
    async fn begin_import(&self, client: &mut Client, storage: &JobStorage) -> Result<()>;

    /// Which of these references of annotations and predictions of a project the host has. None by default.
    async fn known_references(
        &self,
        _client: &Client,
        _project_id: i64,
        _wanted: &LabelReferences,
    ) -> Result<KnownReferences> {
        Ok(KnownReferences::default())
    }

    /// Keeps the host from starting its own sync of the storage, and from deleting it or the project, until the transaction
    /// ends. Called before the first write
    /// of a page. Does nothing by default.
    ///
    /// # Errors
    /// [`crate::Error::Deleted`] if one of them is deleted, [`crate::Error::TakenOver`] if the host started its own sync.
    async fn hold(&self, _tx: &Transaction<'_>, _storage: &JobStorage) -> Result<()> {
        Ok(())
    }

    /// Looks whether the host still has this sync of the storage. Called before objects are written, which no transaction can
    /// hold back. Does nothing by default.
    ///
    /// # Errors
    /// As [`Self::hold`].
    async fn check_sync(&self, _client: &Client, _storage: &JobStorage) -> Result<()> {
        Ok(())
    }

    /// Records what the tasks of a page add to the summary of their project, as the JSON text of a [`SummaryDelta`]. Does
    /// nothing by default.
    async fn add_summary(&self, _tx: &Transaction<'_>, _storage: &JobStorage, _delta: &str) -> Result<()> {
        Ok(())
    }

    /// Inserts tasks with their annotations and predictions, and returns the IDs of the tasks, in order.
    async fn insert_tasks(&self, tx: &Transaction<'_>, storage: &JobStorage, tasks: &[NewTask<'_>])
    -> Result<Vec<i64>>;

    /// The table of annotations, which has columns `id` and `task_id`.
    fn annotations_table(&self) -> &'static str;

    /// Records for the host's users that these units were exported, in the transaction that records their objects. Keeps
    /// storage and project as [`Self::hold`] does. Returns the units that changed since they were read, if the host itself
    /// writes objects, too: theirs must be written again.
    ///
    /// # Errors
    /// As [`Self::hold`].
    async fn link_exports(
        &self,
        tx: &Transaction<'_>,
        storage: &JobStorage,
        units: &[ExportedUnit<'_>],
    ) -> Result<Vec<OutdatedUnit>>;

    /// Makes whole what syncs that have ended wrote, before their end is shown. Does nothing by default.
    async fn settle(&self, _: &mut Client) -> Result<()> {
        Ok(())
    }

    /// Shows a sync's status and progress to the host's users. Returns false if another transaction has locked where it is
    /// shown: other syncs need not wait for that. A deletion of tasks is not shown.
    async fn show_status(&self, tx: &Transaction<'_>, sync: &SyncRow) -> Result<bool>;

    /// The largest ID of an annotation, or of a task if `per_task`, in the project. 0 if there is none.
    async fn last_unit_id(&self, client: &Client, project_id: i64, per_task: bool) -> Result<i64>;

    /// ID of the first unit that a selection looks at, without reading its row. `None` if there is none.
    async fn next_unit_id(&self, client: &Client, selection: &Selection<'_>, per_task: bool) -> Result<Option<i64>>;

    /// The next page of an export per annotation. Each unit has one annotation.
    async fn annotations(&self, client: &mut Client, selection: &Selection<'_>) -> Result<SelectedUnits>;

    /// The next page of an export per task. Each unit has a task with all of its annotations.
    async fn annotated_tasks(&self, client: &mut Client, selection: &Selection<'_>) -> Result<SelectedUnits>;
}

/// A time in Label Studio's format in `meta`: with a space and an offset.
pub(crate) fn host_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string()
}
