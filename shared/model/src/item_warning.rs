//! What was left out of a task although its object was imported.

use serde::{Deserialize, Serialize};

use crate::word::words;

words! {
    /// Why a task has less than its item.
    ItemWarning {
        /// The annotator is named by an e-mail address or in another way that is no ID.
        AnnotatorUnknown = "annotator_unknown",
        /// The time that an annotation took is no number.
        LeadTimeIgnored = "lead_time_ignored",
        /// The score of a prediction is no number.
        ScoreIgnored = "score_ignored",
        /// The version of a model is neither a text nor a number.
        ModelVersionIgnored = "model_version_ignored",
        /// `meta` is no object.
        MetaIgnored = "meta_ignored",
        /// Annotations or predictions are listed by their IDs alone.
        LabelIdsIgnored = "label_ids_ignored",
        /// There are `completions` besides annotations, or the host ignores them.
        CompletionsIgnored = "completions_ignored",
        /// The item looks like one of the export format JSON-MIN: its labels are part of the data.
        LabelsInData = "labels_in_data",
    }
}

impl ItemWarning {
    /// What was left out, then what to do about it, in full sentences.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::AnnotatorUnknown => {
                "`completed_by` is no ID of a user, so the annotation has no annotator. To keep annotators, write their IDs."
            }
            Self::LeadTimeIgnored => "`lead_time` is no number and was left out. Write seconds as a number.",
            Self::ScoreIgnored => "`score` is no number and was left out. Write it as a number.",
            Self::ModelVersionIgnored => "`model_version` is no text and was left out. Write it as a text.",
            Self::MetaIgnored => "`meta` is no object and was left out. Write an object.",
            Self::LabelIdsIgnored => {
                "Annotations or predictions are listed by ID only and were left out. Export them with their results."
            }
            Self::CompletionsIgnored => {
                "`completions` were left out: the task has `annotations`, or Label Studio, which ignores them, is the host. Move them to `annotations`."
            }
            Self::LabelsInData => {
                "The item looks like Label Studio's export format JSON-MIN, so its labels became part of the data. Export in the format JSON."
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
