//! Items: the data of a task, with or without annotations and predictions, from one JSON object.

use std::ops::Range;
use std::sync::Arc;

use longshore_db::host::{ControlTags, SummaryDelta, TaskFormat};
use longshore_model::json_parts::{each_member, is_object};
use longshore_model::{ItemWarning, QuarantineReason};

use super::budget::ABOUT_BYTES;
use super::labels::{AnnotationItem, PredictionItem, Reading};
use super::members::{Members, holds_tasks};
use super::numbers::Numbers;
use super::text::Text;
use super::values::is_blank;
use super::{Budget, Fault, Limits, Warnings, columns, flat_export, label_studio, lists, native};

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

impl Item {
    /// Its annotations and predictions, to correct what they refer to.
    pub fn labels_mut(&mut self) -> (&mut [AnnotationItem], &mut [PredictionItem]) {
        match &mut self.about {
            Some(about) => (&mut about.annotations, &mut about.predictions),
            None => (&mut [], &mut []),
        }
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
    /// The state of reading the labels of an item.
    fn reading<'a>(&'a mut self, text: &'a Arc<String>, row: usize) -> Reading<'a> {
        Reading { text, row, limits: self.limits, budget: self.budget, summary: self.summary, warnings: self.warnings }
    }
}

/// Reads the item from the JSON object in `range` of the checked text.
///
/// If its member `data` is an object, that is the task's data, and the other members describe the task. Otherwise the
/// whole object is the data.
pub(super) fn read(
    text: &Arc<String>,
    row: usize,
    range: Range<usize>,
    reader: &mut Reader<'_>,
) -> Result<Item, Fault> {
    let start = range.start;
    let object = &text[range];
    let members = Members::of(object)
        .map_err(|error| Fault::new(QuarantineReason::InvalidJson, error.to_string()).at(start).in_row(row))?;
    let format = reader.format;
    let mut reading = reader.reading(text, row);
    let (data, about) = match format {
        TaskFormat::Native(controls) => native_task(object, &members, controls, &mut reading)?,
        TaskFormat::LabelStudio(controls) => label_studio_task(object, &members, controls, &mut reading)?,
    };
    Ok(Item {
        row_index: i32::try_from(row).unwrap_or(i32::MAX),
        is_numbered: false,
        data,
        about: about.boxed(reader.budget)?,
    })
}

/// Reads an item of the native format. Its data may be a JSON text, too. An annotation with its task inside, as exports write
/// it, is the task with that annotation; so is an item of the format JSON-MIN, if the label config has its controls.
fn native_task(
    object: &str,
    members: &Members<'_>,
    controls: &ControlTags,
    reading: &mut Reading<'_>,
) -> Result<(Text, Details), Fault> {
    if let Some(data) = members.data {
        let inner = reading.json_in_text(data, Numbers::OfDatabase)?.filter(|inner| is_object(inner));
        let own = match inner {
            Some(inner) => Some(inner.into()),
            None if is_object(data) => Some(Text::of_slice(reading.text, data)),
            None if members.has_labels() => {
                reading.warn(ItemWarning::DataNoObject);
                return Ok((without_labels(object, reading)?, native_details(members, controls, reading)?));
            }
            None => None,
        };
        if let Some(data) = own {
            members.warn_of_others(reading);
            return Ok((data, native_details(members, controls, reading)?));
        }
    }
    if let Some((data, meta)) = members.task {
        let annotations = lists::read(reading, Some(object), Numbers::OfDatabase, |reading, label| {
            native::annotation(reading, label, controls)
        })?;
        let details = Details { meta: native_meta(meta, reading)?, annotations, ..Details::default() };
        return Ok((Text::of_slice(reading.text, data), details));
    }
    if members.is_flat_export
        && let Some((data, annotation)) = flat_export::part(reading, object, controls)?
    {
        return Ok((data, Details { annotations: vec![annotation], ..Details::default() }));
    }
    Ok((flat(object, members, reading)?, Details::default()))
}

/// What an item of the native format has besides its data.
fn native_details(members: &Members<'_>, controls: &ControlTags, reading: &mut Reading<'_>) -> Result<Details, Fault> {
    let (numbers, annotations, predictions) = (Numbers::OfDatabase, members.annotations(), members.predictions());
    Ok(Details {
        meta: native_meta(members.meta, reading)?,
        annotations: lists::read(reading, annotations, numbers, |reading, label| {
            native::annotation(reading, label, controls)
        })?,
        predictions: lists::read(reading, predictions, numbers, |reading, label| {
            native::prediction(reading, label, controls)
        })?,
        ..Details::default()
    })
}

/// An object, also as JSON text. Nothing else is `meta`.
fn native_meta(member: Option<&str>, reading: &mut Reading<'_>) -> Result<Option<Text>, Fault> {
    let Some(json) = member else { return Ok(None) };
    if is_object(json) {
        // An empty object is stored as it is.
        return Ok(Some(Text::of_slice(reading.text, json)));
    }
    let inner = reading.json_in_text(json, Numbers::OfDatabase)?.filter(|inner| is_object(inner));
    if inner.is_none() && !is_blank(json) {
        reading.warn(ItemWarning::MetaIgnored);
    }
    Ok(inner.map(Text::from))
}

/// Reads an item of the format of Label Studio, which drops `meta`. If its data is no object, the whole object is the data,
/// with its labels, as in Label Studio.
fn label_studio_task(
    object: &str,
    members: &Members<'_>,
    controls: &ControlTags,
    reading: &mut Reading<'_>,
) -> Result<(Text, Details), Fault> {
    let allow_skip = label_studio::allow_skip(reading, members.allow_skip);
    let (data, annotations) = match (members.data, members.task) {
        (Some(data), _) if is_object(data) => {
            members.warn_of_others(reading);
            (data, members.annotations())
        }
        (Some(_), _) if members.has_labels() => {
            reading.warn(ItemWarning::DataNoObject);
            (object, members.annotations())
        }
        (None, Some((data, _))) => (data, Some(object)),
        _ => {
            columns::count(object, reading.summary, reading.budget).map_err(|fault| fault.in_row(reading.row))?;
            return Ok((flat(object, members, reading)?, Details { allow_skip, ..Details::default() }));
        }
    };
    columns::count(data, reading.summary, reading.budget).map_err(|fault| fault.in_row(reading.row))?;
    let (numbers, predictions) = (Numbers::OfPython, members.predictions());
    let details = Details {
        allow_skip,
        annotations: lists::read(reading, annotations, numbers, label_studio::annotation)?,
        predictions: lists::read(reading, predictions, numbers, |reading, label| {
            label_studio::prediction(reading, label, controls)
        })?,
        ..Details::default()
    };
    Ok((Text::of_slice(reading.text, data), details))
}

/// The data of an item that is the whole object. It must have no labels, because they would become part of the data.
fn flat(object: &str, members: &Members<'_>, reading: &mut Reading<'_>) -> Result<Text, Fault> {
    members.check_labels().map_err(|bad| reading.fault(bad))?;
    if members.is_flat_export {
        reading.warn(ItemWarning::LabelsInData);
    }
    if holds_tasks(object) {
        reading.warn(ItemWarning::TasksInData);
    }
    Ok(Text::of_slice(reading.text, object))
}

/// The object without the members that describe the task.
fn without_labels(object: &str, reading: &mut Reading<'_>) -> Result<Text, Fault> {
    let mut data = String::with_capacity(object.len());
    let walked = each_member(object, |name, value| {
        if !matches!(name, "annotations" | "completions" | "predictions" | "meta") {
            let name = serde_json::Value::from(name);
            let separator = if data.is_empty() { '{' } else { ',' };
            data.push_str(&format!("{separator}{name}:{value}"));
        }
    });
    walked.map_err(|error| Fault::new(QuarantineReason::InvalidJson, error.to_string()).in_row(reading.row))?;
    data.push('}');
    reading.own(data)
}
