//! What was left out of a task although its object was imported.

use serde::{Deserialize, Serialize};

use crate::word::words;

words! {
    /// Why a task has less than its item.
    ItemWarning {
        /// The annotator is no known user, or is named in another way than by an ID.
        AnnotatorUnknown = "annotator_unknown",
        /// The time that an annotation took is no number.
        LeadTimeIgnored = "lead_time_ignored",
        /// Whether the task was skipped is neither true nor false.
        WasCancelledIgnored = "was_cancelled_ignored",
        /// Whether an annotation is ground truth is neither true nor false.
        GroundTruthIgnored = "ground_truth_ignored",
        /// An annotation has no result.
        ResultMissing = "result_missing",
        /// A prediction has no result, or one that the label config has no control for.
        PredictionIgnored = "prediction_ignored",
        /// The score of a prediction is no number.
        ScoreIgnored = "score_ignored",
        /// The version of a model is neither a text nor a number.
        ModelVersionIgnored = "model_version_ignored",
        /// Another value that only Label Studio stores cannot be read.
        ValueIgnored = "value_ignored",
        /// An annotation or prediction refers to a row that Label Studio does not have.
        ReferenceIgnored = "reference_ignored",
        /// The unique ID of an annotation is no UUID, or another annotation has it.
        UniqueIdIgnored = "unique_id_ignored",
        /// `meta` is no object.
        MetaIgnored = "meta_ignored",
        /// Annotations or predictions are listed by their IDs alone.
        LabelIdsIgnored = "label_ids_ignored",
        /// There are `completions` besides annotations.
        CompletionsIgnored = "completions_ignored",
        /// There are annotations that were not submitted.
        DraftsIgnored = "drafts_ignored",
        /// There are other members besides the data.
        FieldsIgnored = "fields_ignored",
        /// `data` is no object, so it became a member of the data.
        DataNoObject = "data_no_object",
        /// The item holds objects that look like tasks, and became one task.
        TasksInData = "tasks_in_data",
        /// The item looks like one of the export format JSON-MIN: its labels are part of the data.
        LabelsInData = "labels_in_data",
    }
}

impl ItemWarning {
    /// What was left out, then what to do about it, in full sentences.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::AnnotatorUnknown => {
                "`completed_by` names no known user, so the annotation has no annotator. To keep annotators, write IDs; with Label Studio as the host, e-mail addresses of members of the organization, too."
            }
            Self::LeadTimeIgnored => "`lead_time` is no number and was left out. Write seconds as a number.",
            Self::WasCancelledIgnored => {
                "`was_cancelled` is neither true nor false, so the annotation counts as not cancelled. Write true or false."
            }
            Self::GroundTruthIgnored => {
                "`ground_truth` is neither true nor false, so the annotation is no ground truth. Write true or false."
            }
            Self::ResultMissing => {
                "An annotation has no `result`, so it has no labels. Put its regions into a list `result`."
            }
            Self::PredictionIgnored => {
                "A prediction has no `result` that the label config has a control for, and was left out. Write `result` as a list of regions."
            }
            Self::ScoreIgnored => "`score` is no number and was left out. Write it as a number.",
            Self::ModelVersionIgnored => "`model_version` is no text and was left out. Write it as a text.",
            Self::ValueIgnored => {
                "A value that Label Studio does not take was left out, and has its default. Correct or remove it."
            }
            Self::ReferenceIgnored => {
                "The ID of a user, prediction, annotation or model that Label Studio does not have was left out. Correct or remove it."
            }
            Self::UniqueIdIgnored => {
                "`unique_id` is no UUID, or another annotation has it, so the annotation got another one. Remove it from copies."
            }
            Self::MetaIgnored => "`meta` is no object and was left out. Write an object.",
            Self::LabelIdsIgnored => {
                "Annotations or predictions are listed by ID only and were left out. Export them with their results."
            }
            Self::CompletionsIgnored => {
                "`completions` were left out, because the task has `annotations`. Move them there."
            }
            Self::DraftsIgnored => "Drafts were left out. To keep them, submit them before the export.",
            Self::FieldsIgnored => {
                "Members beside `data` that have no meaning here were left out. To keep them, move them into `data` or `meta`."
            }
            Self::DataNoObject => {
                "`data` is no object, so it became a member of the task's data. Write the data as an object."
            }
            Self::TasksInData => {
                "The item holds objects with a `data` of their own, and became one task. If they are tasks, put them into a list alone, or one into each line."
            }
            Self::LabelsInData => {
                "The item looks like Label Studio's export format JSON-MIN, and the label config has no controls for its labels, or Label Studio is the host, so they became part of the data. Export in the format JSON."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_says_what_was_left_out_and_then_what_to_do() {
        for warning in ItemWarning::ALL {
            let advice = warning.advice();
            assert!(advice.ends_with('.') && advice.contains(". "), "{warning}: {advice}");
        }
    }
}
