//! Annotations and predictions of an item, and how lists of them are read.

use std::sync::Arc;

use longshore_db::host::{AnnotationDetails, SummaryDelta};
use longshore_model::json_parts::{each_element, is_object};
use longshore_model::{ItemWarning, QuarantineReason};

use super::budget::LABELS_BYTES;
use super::members::{Members, filled};
use super::numbers::Numbers;
use super::scan::Scanner;
use super::text::Text;
use super::values::given;
use super::{Budget, Fault, Limits, Warnings};

/// An annotation that came with its task.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotationItem {
    /// A JSON list of objects. `None`, in the format of Label Studio only, if there is no result.
    pub result: Option<Text>,
    pub was_cancelled: bool,
    pub ground_truth: bool,
    /// Seconds.
    pub lead_time: Option<f64>,
    /// A user of the host; not checked.
    pub completed_by: Option<i64>,
    /// What only the format of Label Studio has.
    pub details: Option<Box<AnnotationDetails>>,
}

/// A prediction that came with its task.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionItem {
    /// A JSON list of objects. `None`, in the format of Label Studio only, if no control tag has such a result.
    pub result: Option<Text>,
    pub score: Option<f64>,
    pub model_version: Option<String>,
    /// What only the format of Label Studio has, if it differs from the default.
    pub details: Option<Box<PredictionDetails>>,
}

/// What only Label Studio stores of a prediction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PredictionDetails {
    pub cluster: Option<i32>,
    /// A JSON value.
    pub neighbors: Option<Text>,
    pub mislabeling: f64,
    /// An ML backend of the host; not checked.
    pub model: Option<i32>,
    /// A run of a model of the host; not checked.
    pub model_run: Option<i32>,
}

/// The state of reading an item's labels.
pub(super) struct Reading<'r> {
    pub(super) text: &'r Arc<String>,
    pub(super) row: usize,
    pub(super) limits: &'r Limits,
    pub(super) budget: &'r mut Budget,
    pub(super) summary: &'r mut SummaryDelta,
    pub(super) warnings: &'r mut Warnings,
}

/// Why labels cannot be read.
pub(super) enum LabelsError<'a> {
    Bad(BadPart<'a>),
    Other(Fault),
}

impl From<Fault> for LabelsError<'_> {
    fn from(fault: Fault) -> Self {
        Self::Other(fault)
    }
}

impl<'a> From<BadPart<'a>> for LabelsError<'a> {
    fn from(bad: BadPart<'a>) -> Self {
        Self::Bad(bad)
    }
}

impl Reading<'_> {
    /// The same for labels in another text.
    pub(super) fn of_text<'b>(&'b mut self, text: &'b Arc<String>) -> Reading<'b> {
        Reading {
            text,
            row: self.row,
            limits: self.limits,
            budget: self.budget,
            summary: self.summary,
            warnings: self.warnings,
        }
    }

    /// Where a part of the text begins.
    pub(super) fn offset(&self, part: &str) -> usize {
        part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr())
    }

    /// Reads each element of a list of labels.
    pub(super) fn labels<'a, T: Labels>(
        &mut self,
        list: Option<&'a str>,
        read: impl Fn(&mut Self, &'a str) -> Result<T, LabelsError<'a>>,
    ) -> Result<Vec<T>, Fault> {
        let Some(list) = given(list) else { return Ok(Vec::new()) };
        let (mut labels, mut trouble) = (Vec::new(), None);
        let each = |element: &'a str| {
            let label = if is_object(element) {
                self.budget.take(LABELS_BYTES).map_err(LabelsError::Other).and_then(|()| read(self, element))
            } else {
                Err(T::bad(element, "a list of objects is expected").into())
            };
            match label {
                Ok(label) => labels.push(label),
                Err(found) => trouble = Some(found),
            }
            trouble.is_none()
        };
        let walked = each_element(list, each);
        let trouble = match (trouble, walked) {
            (None, Ok(())) => return Ok(labels),
            (None, Err(_)) => T::bad(list, "a list of objects is expected").into(),
            (Some(trouble), _) => trouble,
        };
        Err(match trouble {
            LabelsError::Bad(bad) => bad.in_text(self.text).in_row(self.row),
            LabelsError::Other(fault) => fault.in_row(self.row),
        })
    }

    /// Adds a warning of the item.
    pub(super) fn warn(&mut self, warning: ItemWarning) {
        self.warnings.add(warning, self.row);
    }

    /// Warns of members beside the data that the task is made without.
    pub(super) fn warn_of_others(&mut self, members: &Members<'_>) {
        if filled(members.drafts).is_some() {
            self.warn(ItemWarning::DraftsIgnored);
        }
        if members.has_others {
            self.warn(ItemWarning::FieldsIgnored);
        }
        if filled(members.completions).is_some() && members.annotations() != members.completions {
            self.warn(ItemWarning::CompletionsIgnored);
        }
    }

    /// A value that matters less than its item: if it cannot be read, a warning takes its place.
    pub(super) fn or_warn<T, E>(&mut self, value: Result<Option<T>, E>, warning: ItemWarning) -> Option<T> {
        value.unwrap_or_else(|_| {
            self.warn(warning);
            None
        })
    }

    /// The JSON list or object that a JSON text holds. It is checked as strictly as the text around it. As the database
    /// prints it, it may have twice its length: room for blanks between its parts, not for numbers such as 1e1000. `None` if
    /// the value is no text, or holds something else.
    pub(super) fn json_in_text(&mut self, json: &str, numbers: Numbers) -> Result<Option<String>, Fault> {
        if !json.starts_with('"') {
            return Ok(None);
        }
        self.budget.take(json.len())?;
        let Ok(mut inner) = serde_json::from_str::<String>(json) else { return Ok(None) };
        let mut scanner = Scanner::new(inner.as_bytes(), self.limits.max_depth, inner.len(), numbers);
        scanner.skip_blank();
        if !matches!(scanner.peek(), Some(b'[' | b'{')) {
            return Ok(None);
        }
        let Ok(range) = scanner.value() else { return Ok(None) };
        let is_printable = range.len() + scanner.growth() <= self.limits.max_item_bytes;
        scanner.skip_blank();
        if !is_printable || scanner.peek().is_some() {
            return Ok(None);
        }
        inner.truncate(range.end);
        inner.drain(..range.start);
        Ok(Some(inner))
    }

    /// Makes a separate text and counts its memory.
    pub(super) fn own(&mut self, text: String) -> Result<Text, Fault> {
        self.budget.take(text.len())?;
        Ok(text.into())
    }
}

/// An invalid part of an item.
pub(super) struct BadPart<'a> {
    pub(super) reason: QuarantineReason,
    pub(super) part: &'a str,
    pub(super) detail: String,
}

impl BadPart<'_> {
    /// The fault, with the part's offset in `text`, of which it is a slice.
    pub(super) fn in_text(self, text: &str) -> Fault {
        let offset = self.part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        Fault::new(self.reason, self.detail).at(offset)
    }
}

/// A kind of labels that a task may have.
pub(super) trait Labels: Sized {
    const NAME: &'static str;
    const REASON: QuarantineReason;

    fn bad<'a>(part: &'a str, expected: &str) -> BadPart<'a> {
        BadPart {
            reason: Self::REASON,
            part,
            detail: format!("In \"{}\", {expected}. Correct or remove it.", Self::NAME),
        }
    }
}

impl Labels for AnnotationItem {
    const NAME: &'static str = "annotations";
    const REASON: QuarantineReason = QuarantineReason::InvalidAnnotations;
}

impl Labels for PredictionItem {
    const NAME: &'static str = "predictions";
    const REASON: QuarantineReason = QuarantineReason::InvalidPredictions;
}
