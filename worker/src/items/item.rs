//! Items: the data of a task, with or without annotations and predictions, from one JSON object.

use std::ops::Range;
use std::sync::Arc;

use longshore_db::host::{SummaryDelta, TaskFormat};
use longshore_model::QuarantineReason;
use longshore_model::json_parts::{is_object, members};

use super::budget::ABOUT_BYTES;
use super::labels::{AnnotationItem, BadPart, PredictionItem, Reading};
use super::text::Text;
use super::values::is_blank;
use super::{Budget, Fault, Limits, columns, label_studio, native};

/// One task's worth of data in an object. JSON parts are texts in their original spelling.
///
/// It is small, because an object may have 100,000 items: texts are parts of the object's text, and fields that few
/// items have are in a box.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    /// Its number in the object, from 0.
    pub(crate) row_index: i32,
    /// Whether the object is a list or has several items. A single object is not numbered.
    pub(crate) is_numbered: bool,
    /// A JSON object.
    pub(crate) data: Text,
    pub(super) about: Option<Box<Details>>,
}

/// What an item has besides the data of its task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Details {
    /// A JSON object, if the item has one.
    pub(super) meta: Option<Text>,
    pub(super) allow_skip: Option<bool>,
    pub(super) annotations: Vec<AnnotationItem>,
    pub(super) predictions: Vec<PredictionItem>,
}

impl Default for Details {
    fn default() -> Self {
        Self { meta: None, allow_skip: Some(true), annotations: Vec::new(), predictions: Vec::new() }
    }
}

impl Details {
    /// In a box, unless there is nothing.
    fn boxed(self, budget: &mut Budget) -> Result<Option<Box<Self>>, Fault> {
        if self == Self::default() {
            return Ok(None);
        }
        budget.take(ABOUT_BYTES)?;
        Ok(Some(Box::new(self)))
    }
}

impl Item {
    /// The only item of an object that is not read. Its data has the URI of the object.
    pub(crate) fn of_data(data: String) -> Self {
        Self { row_index: 0, is_numbered: false, data: data.into(), about: None }
    }

    /// A JSON object, if the item has one besides its `data`.
    pub(crate) fn meta(&self) -> Option<&str> {
        self.about.as_ref()?.meta.as_deref()
    }

    /// Whether annotators may skip the task. `None` if the item has null there. Always true in the native format.
    pub(crate) fn allow_skip(&self) -> Option<bool> {
        self.about.as_ref().map_or(Some(true), |about| about.allow_skip)
    }

    /// Annotations that came with the task.
    pub(crate) fn annotations(&self) -> &[AnnotationItem] {
        self.about.as_ref().map_or(&[], |about| &about.annotations)
    }

    /// Predictions that came with the task.
    pub(crate) fn predictions(&self) -> &[PredictionItem] {
        self.about.as_ref().map_or(&[], |about| &about.predictions)
    }
}

/// What the items of an object are read with.
pub(super) struct Reader<'r> {
    pub(super) format: &'r TaskFormat,
    pub(super) limits: &'r Limits,
    pub(super) budget: &'r mut Budget,
    /// What the items add to the summary of their project, if the format has one.
    pub(super) summary: &'r mut SummaryDelta,
}

/// Reads the item from the JSON object in `range` of the checked text.
///
/// If its member `data` is an object, that is the task's data, and the other members describe the task. Otherwise the
/// whole object is the data; it must then have no labels, because they would become part of the data.
pub(super) fn read(
    text: &Arc<String>,
    row: usize,
    range: Range<usize>,
    reader: &mut Reader<'_>,
) -> Result<Item, Fault> {
    let start = range.start;
    let object = &text[range];
    let place = |fault: BadPart<'_>| fault.in_text(text).in_row(row);

    let names = ["data", "meta", "annotations", "predictions", "allow_skip"];
    let [data, meta, annotations, predictions, allow_skip] = members(object, names)
        .map_err(|error| Fault::new(QuarantineReason::InvalidJson, error.to_string()).at(start).in_row(row))?;
    let row_index = i32::try_from(row).unwrap_or(i32::MAX);
    let allow_skip = match reader.format {
        TaskFormat::Native => Some(true),
        TaskFormat::LabelStudio(_) => label_studio::allow_skip(allow_skip).map_err(place)?,
    };
    let item = |data, about| Item { row_index, is_numbered: false, data: Text::of_slice(text, data), about };

    let Some(data) = data.filter(|data| is_object(data)) else {
        for (name, labels) in [("annotations", annotations), ("predictions", predictions)] {
            if let Some(part) = labels.filter(|labels| !is_blank(labels)) {
                let detail =
                    format!("\"{name}\" needs the task's data beside it. Put the data into an object \"data\".");
                return Err(place(BadPart { reason: QuarantineReason::MissingData, part, detail }));
            }
        }
        if reader.format.has_summary() {
            columns::count(object, reader.summary, reader.budget).map_err(|fault| fault.in_row(row))?;
        }
        let about = Details { allow_skip, ..Details::default() };
        return Ok(item(object, about.boxed(reader.budget)?));
    };

    let mut reading = Reading { text, row, limits: reader.limits, budget: reader.budget, summary: reader.summary };
    let about = match reader.format {
        TaskFormat::Native => Details {
            meta: meta.filter(|meta| is_object(meta)).map(|meta| Text::of_slice(text, meta)),
            allow_skip,
            annotations: reading.labels(annotations, native::annotation)?,
            predictions: reading.labels(predictions, native::prediction)?,
        },
        TaskFormat::LabelStudio(controls) => {
            columns::count(data, reading.summary, reading.budget).map_err(|fault| fault.in_row(row))?;
            let prediction = |reading: &mut Reading<'_>, part| label_studio::prediction(reading, part, controls);
            Details {
                // Label Studio drops it.
                meta: None,
                allow_skip,
                annotations: reading.labels(annotations.filter(|list| !is_blank(list)), label_studio::annotation)?,
                predictions: reading.labels(predictions.filter(|list| !is_blank(list)), prediction)?,
            }
        }
    };
    Ok(item(data, about.boxed(reader.budget)?))
}
