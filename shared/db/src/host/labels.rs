//! What a host stores of the labels in an object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::control_tags::ControlTags;
use crate::{Error, Result};

/// What an item of an object may have, by host.
#[derive(Debug, Clone)]
pub enum TaskFormat {
    /// The format of the native host, with the control tags of the project in the order of its label config.
    Native(Arc<ControlTags>),
    /// That of Label Studio, with the control tags of the project in the order in which Label Studio looks at them.
    LabelStudio(Arc<ControlTags>),
}

impl Default for TaskFormat {
    fn default() -> Self {
        Self::Native(Arc::default())
    }
}

impl TaskFormat {
    /// Whether the tasks are for Label Studio, which keeps a summary of each project.
    pub fn has_summary(&self) -> bool {
        matches!(self, Self::LabelStudio(_))
    }
}

/// How a project of Label Studio decides whether a task is labeled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LabelingRules {
    /// Annotations by different users that make a task labeled.
    pub overlap: i32,
    /// Whether skipped annotations count, too.
    pub counts_skipped: bool,
    /// ID of the user who requested the sync. `None` if it is not a user of Label Studio.
    pub user_id: Option<i32>,
}

/// What only Label Studio stores of an annotation. Null columns are `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotationDetails {
    /// `None` if the file has none: then it gets a random one.
    pub unique_id: Option<Uuid>,
    /// ID of the annotation where it was exported.
    pub import_id: Option<i64>,
    /// The last action of its history.
    pub last_action: Option<&'static str>,
    /// ID of the user of that action.
    pub last_created_by: Option<i32>,
    /// When its draft was created.
    pub draft_created_at: Option<Timestamp>,
    /// ID of the prediction from which it was made.
    pub parent_prediction: Option<i32>,
    /// ID of the annotation from which it was made.
    pub parent_annotation: Option<i32>,
    /// Whether it was made with others at the same time.
    pub bulk_created: Option<bool>,
    /// Number of distinct IDs of its regions, of which a missing one counts as one.
    pub result_count: i32,
    /// E-mail address of the user who made it, in place of an ID. Not stored.
    pub email: Option<String>,
}

impl Default for AnnotationDetails {
    fn default() -> Self {
        Self {
            unique_id: None,
            import_id: None,
            last_action: None,
            last_created_by: None,
            draft_created_at: None,
            parent_prediction: None,
            parent_annotation: None,
            bulk_created: Some(false),
            result_count: 0,
            email: None,
        }
    }
}

/// What annotations and predictions refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelReferences {
    /// IDs of users.
    pub users: BTreeSet<i64>,
    /// E-mail addresses of users.
    pub emails: BTreeSet<String>,
    /// IDs of predictions.
    pub predictions: BTreeSet<i64>,
    /// IDs of annotations.
    pub annotations: BTreeSet<i64>,
    /// IDs of ML backends.
    pub models: BTreeSet<i64>,
    /// IDs of runs of models.
    pub model_runs: BTreeSet<i64>,
    /// Unique IDs that the annotations have. No other annotation may have them.
    pub unique_ids: BTreeSet<Uuid>,
}

/// What of it a host has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownReferences {
    /// Those of the IDs that it has, and the unique IDs that annotations have already. No e-mail addresses.
    pub ids: LabelReferences,
    /// IDs of the users with these e-mail addresses.
    pub members: BTreeMap<String, i64>,
}

/// What tasks add to the summary of their project in Label Studio.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryDelta {
    /// Number of tasks.
    pub tasks: i64,
    /// Number of tasks by key of their data.
    pub columns: BTreeMap<String, i64>,
    /// Number of regions by `from_name|to_name|type`.
    pub annotations: BTreeMap<String, i64>,
    /// Number of labels by control and label.
    pub labels: BTreeMap<String, BTreeMap<String, i64>>,
}

/// About the bytes of a map with one short name. A node has capacity for eleven.
const MAP_BYTES: usize = 512;

/// Bytes of a name in a map besides its text.
const NAME_BYTES: usize = 64;

impl SummaryDelta {
    /// Adds a task with this key in its data; call it once for each key. Returns the bytes of memory that it took.
    pub fn count_column(&mut self, key: &str) -> usize {
        count(&mut self.columns, key, 1)
    }

    /// Adds a region. Returns the bytes of memory that it took.
    pub fn count_region(&mut self, from_name: &str, to_name: &str, kind: &str) -> usize {
        count(&mut self.annotations, &format!("{from_name}|{to_name}|{}", kind.to_lowercase()), 1)
    }

    /// Adds the control of a region, which has an entry also without labels. Returns the bytes of memory that it took.
    pub fn add_control(&mut self, from_name: &str) -> usize {
        if self.labels.contains_key(from_name) {
            return 0;
        }
        self.labels.insert(from_name.to_owned(), BTreeMap::new());
        MAP_BYTES + NAME_BYTES + from_name.len()
    }

    /// Adds a label of a region. Returns the bytes of memory that it took.
    pub fn count_label(&mut self, from_name: &str, label: &str) -> usize {
        let control = self.add_control(from_name);
        let labels = self.labels.entry(from_name.to_owned()).or_default();
        control + count(labels, label, 1)
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.tasks += other.tasks;
        add(&mut self.columns, &other.columns);
        add(&mut self.annotations, &other.annotations);
        for (control, counts) in &other.labels {
            match self.labels.get_mut(control) {
                Some(labels) => add(labels, counts),
                None => drop(self.labels.insert(control.clone(), counts.clone())),
            }
        }
    }

    /// The JSON form, as stored.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::unreadable("host_deltas.delta", error))
    }

    /// Reads the stored form.
    pub(crate) fn of_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| Error::unreadable("host_deltas.delta", error))
    }
}

fn add(totals: &mut BTreeMap<String, i64>, counts: &BTreeMap<String, i64>) {
    for (name, by) in counts {
        count(totals, name, *by);
    }
}

/// Adds to the count of a name. Returns the bytes of memory that it took.
fn count(totals: &mut BTreeMap<String, i64>, name: &str, by: i64) -> usize {
    if let Some(total) = totals.get_mut(name) {
        *total += by;
        return 0;
    }
    let map = if totals.is_empty() { MAP_BYTES } else { 0 };
    totals.insert(name.to_owned(), by);
    map + NAME_BYTES + name.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_add_up_and_take_memory_once_for_each_name() {
        let mut delta = SummaryDelta { tasks: 1, ..SummaryDelta::default() };
        assert!(delta.count_column("x") > 0);
        assert_eq!(delta.count_column("x"), 0);
        delta.count_region("label", "image", "Choices");
        assert!(delta.count_label("label", "cat") > delta.count_label("label", "dog"));
        let mut sum = delta.clone();
        sum.add(&delta);
        assert_eq!((sum.tasks, sum.columns["x"], sum.annotations["label|image|choices"]), (2, 4, 2));
        assert_eq!(sum.labels["label"], BTreeMap::from([("cat".to_owned(), 2), ("dog".to_owned(), 2)]));
        assert_eq!(SummaryDelta::of_json(&sum.to_json().unwrap()).unwrap(), sum);
    }
}
