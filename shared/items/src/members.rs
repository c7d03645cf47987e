//! The members of an item that mean something, and whether it has others.

use longshore_model::json_parts::{each_element, each_member, is_object, members};
use longshore_model::{ItemWarning, QuarantineReason};

use super::labels::{BadPart, Reading};
use super::values::is_blank;

/// Members beside the data of a task that exports write and that no import needs.
const EXPORTED: &[&str] = &[
    "agreement",
    "allow_skip",
    "annotations_ids",
    "annotations_results",
    "annotators",
    "avg_lead_time",
    "cancelled_annotations",
    "comment_authors",
    "comment_count",
    "completed_at",
    "created_at",
    "draft_exists",
    "file_upload",
    "id",
    "inner_id",
    "is_labeled",
    "last_comment_updated_at",
    "overlap",
    "precomputed_agreement",
    "predictions_model_versions",
    "predictions_results",
    "predictions_score",
    "project",
    "reviewers",
    "state",
    "storage_filename",
    "task_path",
    "total_annotations",
    "total_predictions",
    "unresolved_comment_count",
    "updated_at",
    "updated_by",
];

/// The members of an item that mean something.
#[derive(Default)]
pub(super) struct Members<'a> {
    pub(super) data: Option<&'a str>,
    pub(super) meta: Option<&'a str>,
    pub(super) annotations: Option<&'a str>,
    /// The name of annotations before Label Studio 1.0.
    pub(super) completions: Option<&'a str>,
    pub(super) predictions: Option<&'a str>,
    pub(super) allow_skip: Option<&'a str>,
    /// Annotations that were not submitted.
    pub(super) drafts: Option<&'a str>,
    /// Whether any other member has a value.
    pub(super) has_others: bool,
    /// The data and `meta` of the task inside of an annotation, as exports write it.
    pub(super) task: Option<(&'a str, Option<&'a str>)>,
    /// Whether it looks like one of the export format JSON-MIN, which mixes labels and data.
    pub(super) is_flat_export: bool,
}

impl<'a> Members<'a> {
    pub(super) fn of(object: &'a str) -> serde_json::Result<Self> {
        let mut own = Self::default();
        each_member(object, |name, value| match name {
            "data" => own.data = Some(value),
            "meta" => own.meta = Some(value),
            "annotations" => own.annotations = Some(value),
            "completions" => own.completions = Some(value),
            "predictions" => own.predictions = Some(value),
            "allow_skip" => own.allow_skip = Some(value),
            "drafts" => own.drafts = Some(value),
            other => own.has_others |= !(EXPORTED.contains(&other) || is_blank(value)),
        })?;
        if own.data.is_some() {
            return Ok(own);
        }
        let [result, task, annotation, annotator] = members(object, ["result", "task", "annotation_id", "annotator"])?;
        own.is_flat_export = annotation.is_some() && annotator.is_some();
        if let Some(task) = task.filter(|task| is_object(task) && result.is_some()) {
            let [data, meta] = members(task, ["data", "meta"])?;
            own.task = data.filter(|data| is_object(data)).map(|data| (data, meta));
        }
        Ok(own)
    }

    /// Annotations; those of old files only if there are no others.
    pub(super) fn annotations(&self) -> Option<&'a str> {
        filled(self.annotations).or(filled(self.completions))
    }

    pub(super) fn predictions(&self) -> Option<&'a str> {
        filled(self.predictions)
    }

    /// Whether there are annotations or predictions beside a member `data`.
    pub(super) fn has_labels(&self) -> bool {
        self.annotations().or(self.predictions()).is_some()
    }

    /// Checks that there are no labels, which would become part of the data.
    pub(super) fn check_labels(&self) -> Result<(), BadPart<'a>> {
        for (name, labels) in [("annotations", self.annotations), ("predictions", self.predictions)] {
            if let Some(part) = filled(labels) {
                let detail =
                    format!("\"{name}\" needs the task's data beside it. Put the data into an object \"data\".");
                return Err(BadPart { reason: QuarantineReason::MissingData, part, detail });
            }
        }
        Ok(())
    }
}

impl Members<'_> {
    /// Warns of members beside the data that the task is made without.
    pub(super) fn warn_of_others(&self, reading: &mut Reading<'_>) {
        if filled(self.drafts).is_some() {
            reading.warn(ItemWarning::DraftsIgnored);
        }
        if self.has_others {
            reading.warn(ItemWarning::FieldsIgnored);
        }
        if filled(self.completions).is_some() && self.annotations() != self.completions {
            reading.warn(ItemWarning::CompletionsIgnored);
        }
    }
}

/// A member, unless it is missing or empty.
pub(super) fn filled(member: Option<&str>) -> Option<&str> {
    member.filter(|json| !is_blank(json))
}

/// Whether an object that is the data of a task holds tasks itself: in a list, or by their IDs.
pub(super) fn holds_tasks(object: &str) -> bool {
    let mut found = false;
    let walked = each_member(object, |_, value| {
        found = found || is_task(value) || (value.starts_with('[') && begins_with(value, is_task));
    });
    walked.is_ok() && found
}

fn is_task(json: &str) -> bool {
    is_object(json) && members(json, ["data"]).is_ok_and(|[data]| data.is_some_and(is_object))
}

/// Whether the first element of a list is of this kind.
pub(super) fn begins_with(list: &str, is_kind: impl Fn(&str) -> bool) -> bool {
    let mut found = false;
    let walked = each_element(list, |element| {
        found = is_kind(element);
        false
    });
    walked.is_ok() && found
}

/// Whether an object is a region, which a list of annotations or predictions should hold inside of their results.
pub(super) fn is_region(object: &str) -> bool {
    is_object(object)
        && members(object, ["result", "value", "from_name", "type"]).is_ok_and(|[result, value, from_name, kind]| {
            result.is_none() && value.is_some_and(is_object) && from_name.or(kind).is_some()
        })
}
