//! Annotations and predictions of an item, and how lists of them are read.

use std::sync::Arc;

use longshore_db::host::{AnnotationDetails, SummaryDelta};
use longshore_model::{ItemWarning, QuarantineReason};

use super::numbers::Numbers;
use super::scan::Scanner;
use super::text::Text;
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

    /// The fault of a part of the text.
    pub(super) fn fault(&self, bad: BadPart<'_>) -> Fault {
        bad.in_text(self.text).in_row(self.row)
    }

    /// Adds a warning of the item.
    pub(super) fn warn(&mut self, warning: ItemWarning) {
        self.warnings.add(warning, self.row);
    }

    /// A value that matters less than its item: if it cannot be read, a warning and the usual value take its place.
    pub(super) fn or_warn<T: Default, E>(&mut self, value: Result<T, E>, warning: ItemWarning) -> T {
        value.unwrap_or_else(|_| {
            self.warn(warning);
            T::default()
        })
    }

    /// The JSON list or object that a JSON text holds. It is checked as strictly as the text around it. As the database
    /// prints it, it may have twice its length: room for blanks between its parts, not for numbers such as 1e1000. `None` if
    /// the value is no text, or holds something else.
    pub(super) fn json_in_text(&mut self, json: &str, numbers: Numbers) -> Result<Option<String>, Fault> {
        if !may_hold_json(json) {
            return Ok(None);
        }
        self.budget.take(json.len())?;
        let inner = self.checked_text(json, numbers);
        if inner.is_none() {
            self.budget.give(json.len());
        }
        Ok(inner)
    }

    fn checked_text(&self, json: &str, numbers: Numbers) -> Option<String> {
        let mut inner = serde_json::from_str::<String>(json).ok()?;
        let mut scanner = Scanner::new(inner.as_bytes(), self.limits.max_depth, inner.len(), numbers);
        scanner.skip_blank();
        if !matches!(scanner.peek(), Some(b'[' | b'{')) {
            return None;
        }
        let range = scanner.value().ok()?;
        let is_printable = range.len() + scanner.growth() <= self.limits.max_item_bytes;
        scanner.skip_blank();
        if !is_printable || scanner.peek().is_some() {
            return None;
        }
        inner.truncate(range.end);
        inner.drain(..range.start);
        Some(inner)
    }

    /// Makes a separate text and counts its memory.
    pub(super) fn own(&mut self, text: String) -> Result<Text, Fault> {
        self.budget.take(text.len())?;
        Ok(text.into())
    }
}

/// Whether a value is a text that may begin like a list or an object. Most texts need no copy to see that they do not.
fn may_hold_json(json: &str) -> bool {
    let Some(mut rest) = json.strip_prefix('"') else { return false };
    while let Some(next) = [" ", "\\n", "\\r", "\\t"].iter().find_map(|blank| rest.strip_prefix(blank)) {
        rest = next;
    }
    rest.starts_with(['[', '{']) || rest.starts_with("\\u")
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
