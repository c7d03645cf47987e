//! Items: the data of a task, with or without annotations and predictions, from one JSON object.

use std::ops::Range;
use std::sync::Arc;

use longshore_db::host::{SummaryDelta, TaskFormat};
use longshore_model::json_parts::{is_object, members};
use longshore_model::{ItemWarning, QuarantineReason};

use super::budget::ABOUT_BYTES;
use super::labels::{AnnotationItem, BadPart, PredictionItem, Reading};
use super::text::Text;
use super::values::is_blank;
use super::{Budget, Fault, Limits, Warnings, columns, label_studio, native};

/// One task's worth of data in an object. JSON parts are texts in their original spelling.
///
/// It is small, because an object may have 100,000 items: texts are parts of the object's text, and fields that few
/// items have are in a box.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its number in the object, from 0.
    pub row_index: i32,
    /// Whether the object is a list or has several items. A single object is not numbered.
    pub is_numbered: bool,
    /// A JSON object.
    pub data: Text,
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
    pub fn of_data(data: String) -> Self {
        Self { row_index: 0, is_numbered: false, data: data.into(), about: None }
    }

    /// A JSON object, if the item has one besides its `data`.
    pub fn meta(&self) -> Option<&str> {
        self.about.as_ref()?.meta.as_deref()
    }

    /// Whether annotators may skip the task. `None` if the item has null there. Always true in the native format.
    pub fn allow_skip(&self) -> Option<bool> {
        self.about.as_ref().map_or(Some(true), |about| about.allow_skip)
    }

    /// Annotations that came with the task.
    pub fn annotations(&self) -> &[AnnotationItem] {
        self.about.as_ref().map_or(&[], |about| &about.annotations)
    }

    /// Predictions that came with the task.
    pub fn predictions(&self) -> &[PredictionItem] {
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
    pub(super) warnings: &'r mut Warnings,
}

impl Reader<'_> {
    fn is_native(&self) -> bool {
        matches!(self.format, TaskFormat::Native)
    }

    /// The state of reading the labels of an item.
    fn reading<'a>(&'a mut self, text: &'a Arc<String>, row: usize) -> Reading<'a> {
        Reading {
            text,
            row,
            is_lenient: self.is_native(),
            limits: self.limits,
            budget: self.budget,
            summary: self.summary,
            warnings: self.warnings,
        }
    }
}

/// The members of an item that mean something.
struct Members<'a> {
    data: Option<&'a str>,
    meta: Option<&'a str>,
    annotations: Option<&'a str>,
    /// The name of annotations before Label Studio 1.0.
    completions: Option<&'a str>,
    predictions: Option<&'a str>,
    allow_skip: Option<&'a str>,
    /// The data and `meta` of the task inside of an annotation, as exports write it.
    task: Option<(&'a str, Option<&'a str>)>,
    /// Whether it looks like one of the export format JSON-MIN, which mixes labels and data.
    is_flat_export: bool,
}

impl<'a> Members<'a> {
    fn of(object: &'a str) -> serde_json::Result<Self> {
        let names = ["data", "meta", "annotations", "completions", "predictions", "allow_skip"];
        let [data, meta, annotations, completions, predictions, allow_skip] = members(object, names)?;
        let own =
            Self { data, meta, annotations, completions, predictions, allow_skip, task: None, is_flat_export: false };
        if data.is_some() {
            return Ok(own);
        }
        let [result, task, annotation, annotator] = members(object, ["result", "task", "annotation_id", "annotator"])?;
        let is_flat_export = annotation.is_some() && annotator.is_some();
        let task = match task.filter(|task| is_object(task) && result.is_some()) {
            Some(task) => {
                let [data, meta] = members(task, ["data", "meta"])?;
                data.filter(|data| is_object(data)).map(|data| (data, meta))
            }
            None => None,
        };
        Ok(Self { task, is_flat_export, ..own })
    }

    /// Checks that there are no labels, which would become part of the data.
    fn check_labels(&self) -> Result<(), BadPart<'a>> {
        for (name, labels) in [("annotations", self.annotations), ("predictions", self.predictions)] {
            if let Some(part) = labels.filter(|labels| !is_blank(labels)) {
                let detail =
                    format!("\"{name}\" needs the task's data beside it. Put the data into an object \"data\".");
                return Err(BadPart { reason: QuarantineReason::MissingData, part, detail });
            }
        }
        Ok(())
    }
}

/// Reads the item from the JSON object in `range` of the checked text.
///
/// If its member `data` is an object, that is the task's data, and the other members describe the task. Otherwise the
/// whole object is the data; it must then have no labels, because they would become part of the data. An annotation with
/// its task inside, as exports write it, is the task with that annotation (in the native format).
pub(super) fn read(
    text: &Arc<String>,
    row: usize,
    range: Range<usize>,
    reader: &mut Reader<'_>,
) -> Result<Item, Fault> {
    let start = range.start;
    let object = &text[range];
    let place = |fault: BadPart<'_>| fault.in_text(text).in_row(row);

    let members = Members::of(object)
        .map_err(|error| Fault::new(QuarantineReason::InvalidJson, error.to_string()).at(start).in_row(row))?;
    let allow_skip = match reader.format {
        TaskFormat::Native => Some(true),
        TaskFormat::LabelStudio(_) => label_studio::allow_skip(members.allow_skip).map_err(place)?,
    };
    let (data, about) = match (members.data.filter(|data| is_object(data)), members.task) {
        (Some(data), _) => (data, with_data(&members, data, reader, text, row)?),
        (None, Some((data, meta))) if reader.is_native() => {
            let mut reading = reader.reading(text, row);
            let meta = meta.filter(|meta| is_object(meta)).map(|meta| Text::of_slice(text, meta));
            let annotations = reading.labels(Some(object), native::annotation)?;
            (data, Details { meta, annotations, ..Details::default() })
        }
        (None, _) => {
            members.check_labels().map_err(place)?;
            if members.is_flat_export {
                reader.warnings.add(ItemWarning::LabelsInData, row);
            }
            if reader.format.has_summary() {
                columns::count(object, reader.summary, reader.budget).map_err(|fault| fault.in_row(row))?;
            }
            (object, Details::default())
        }
    };
    Ok(Item {
        row_index: i32::try_from(row).unwrap_or(i32::MAX),
        is_numbered: false,
        data: Text::of_slice(text, data),
        about: Details { allow_skip, ..about }.boxed(reader.budget)?,
    })
}

/// What an item has besides its `data`.
fn with_data(
    members: &Members<'_>,
    data: &str,
    reader: &mut Reader<'_>,
    text: &Arc<String>,
    row: usize,
) -> Result<Details, Fault> {
    let format = reader.format;
    let is_native = reader.is_native();
    let mut reading = reader.reading(text, row);
    let filled = |labels: Option<&'_ str>| labels.is_some_and(|labels| !is_blank(labels));
    let is_old = is_native && !filled(members.annotations);
    if filled(members.completions) && !is_old {
        reading.warn(ItemWarning::CompletionsIgnored);
    }
    let annotations = if is_old { members.completions } else { members.annotations };
    let annotations = annotations.filter(|list| !is_blank(list));
    let predictions = members.predictions.filter(|list| !is_blank(list));
    match format {
        TaskFormat::Native => {
            let meta = members.meta.filter(|meta| !is_blank(meta));
            if meta.is_some_and(|meta| !is_object(meta)) {
                reading.warn(ItemWarning::MetaIgnored);
            }
            // An empty object is stored as it is.
            Ok(Details {
                meta: members.meta.filter(|meta| is_object(meta)).map(|meta| Text::of_slice(text, meta)),
                annotations: reading.labels(annotations, native::annotation)?,
                predictions: reading.labels(predictions, native::prediction)?,
                ..Details::default()
            })
        }
        TaskFormat::LabelStudio(controls) => {
            columns::count(data, reading.summary, reading.budget).map_err(|fault| fault.in_row(row))?;
            let prediction = |reading: &mut Reading<'_>, part| label_studio::prediction(reading, part, controls);
            // Label Studio drops `meta`.
            Ok(Details {
                annotations: reading.labels(annotations, label_studio::annotation)?,
                predictions: reading.labels(predictions, prediction)?,
                ..Details::default()
            })
        }
    }
}
