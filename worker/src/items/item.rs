//! Items: the data of a task, with or without annotations and predictions, from one JSON object.

use std::ops::Range;
use std::sync::Arc;

use longshore_model::QuarantineReason;

use super::budget::{ABOUT_BYTES, LABELS_BYTES};
use super::members::{check_objects, each_element, is_object, members};
use super::text::Text;
use super::{Budget, Fault};

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
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Details {
    /// A JSON object, if the item has one.
    pub(super) meta: Option<Text>,
    pub(super) annotations: Vec<AnnotationItem>,
    pub(super) predictions: Vec<PredictionItem>,
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

    /// Annotations that came with the task.
    pub(crate) fn annotations(&self) -> &[AnnotationItem] {
        self.about.as_ref().map_or(&[], |about| &about.annotations)
    }

    /// Predictions that came with the task.
    pub(crate) fn predictions(&self) -> &[PredictionItem] {
        self.about.as_ref().map_or(&[], |about| &about.predictions)
    }
}

/// An annotation that came with its task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AnnotationItem {
    /// A JSON list of objects.
    pub(crate) result: Text,
    pub(crate) was_cancelled: bool,
    pub(crate) ground_truth: bool,
    /// Seconds.
    pub(crate) lead_time: Option<f64>,
    /// A user of the host; not checked.
    pub(crate) completed_by: Option<i64>,
}

/// A prediction that came with its task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PredictionItem {
    /// A JSON list of objects.
    pub(crate) result: Text,
    pub(crate) score: Option<f64>,
    pub(crate) model_version: Option<String>,
}

/// Reads the item from the JSON object in `range` of the checked text.
///
/// If its member `data` is an object, that is the task's data, and the other members describe the task. Otherwise the
/// whole object is the data; it must then have no labels, because they would become part of the data.
pub(super) fn read(text: &Arc<String>, row: usize, range: Range<usize>, budget: &mut Budget) -> Result<Item, Fault> {
    let start = range.start;
    let object = &text[range];
    let place = |fault: BadPart<'_>| fault.in_text(text).in_row(row);

    let [data, meta, annotations, predictions] = members(object, ["data", "meta", "annotations", "predictions"])
        .map_err(|error| Fault::new(QuarantineReason::InvalidJson, error.to_string()).at(start).in_row(row))?;
    let row_index = i32::try_from(row).unwrap_or(i32::MAX);

    let Some(data) = data.filter(|data| is_object(data)) else {
        for (name, labels) in [("annotations", annotations), ("predictions", predictions)] {
            if let Some(part) = labels.filter(|labels| !is_blank(labels)) {
                let detail =
                    format!("\"{name}\" needs the task's data beside it. Put the data into an object \"data\".");
                return Err(place(BadPart { reason: QuarantineReason::MissingData, part, detail }));
            }
        }
        return Ok(Item { row_index, is_numbered: false, data: Text::of_slice(text, object), about: None });
    };

    let mut reading = Reading { text, row, budget };
    let about = Details {
        meta: meta.filter(|meta| is_object(meta)).map(|meta| Text::of_slice(text, meta)),
        annotations: reading.labels(annotations, annotation)?,
        predictions: reading.labels(predictions, prediction)?,
    };
    let about = (about != Details::default()).then(|| Box::new(about));
    reading.budget.take(if about.is_some() { ABOUT_BYTES } else { 0 })?;
    Ok(Item { row_index, is_numbered: false, data: Text::of_slice(text, data), about })
}

/// The state of reading an item's labels.
struct Reading<'r> {
    text: &'r Arc<String>,
    row: usize,
    budget: &'r mut Budget,
}

/// Why labels cannot be read.
enum LabelsError<'a> {
    Bad(BadPart<'a>),
    Other(Fault),
}

impl<'a> From<BadPart<'a>> for LabelsError<'a> {
    fn from(bad: BadPart<'a>) -> Self {
        Self::Bad(bad)
    }
}

impl Reading<'_> {
    fn labels<'a, T: Labels>(
        &mut self,
        list: Option<&'a str>,
        read: impl Fn(&mut Self, &'a str) -> Result<T, LabelsError<'a>>,
    ) -> Result<Vec<T>, Fault> {
        let Some(list) = given(list) else { return Ok(Vec::new()) };
        let (mut labels, mut trouble) = (Vec::new(), None);
        let walked = each_element(list, |element| {
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
        });
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

    /// Makes a separate text and counts its memory.
    fn own(&mut self, text: String) -> Result<Text, LabelsError<'static>> {
        self.budget.take(text.len()).map_err(LabelsError::Other)?;
        Ok(text.into())
    }
}

/// An invalid part of an item.
struct BadPart<'a> {
    reason: QuarantineReason,
    part: &'a str,
    detail: String,
}

impl BadPart<'_> {
    /// The fault, with the part's offset in `text`, of which it is a slice.
    fn in_text(self, text: &str) -> Fault {
        let offset = self.part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        Fault::new(self.reason, self.detail).at(offset)
    }
}

/// A kind of labels that a task may have.
trait Labels: Sized {
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

fn annotation<'a>(reading: &mut Reading<'_>, object: &'a str) -> Result<AnnotationItem, LabelsError<'a>> {
    let bad = AnnotationItem::bad;
    let names = ["result", "was_cancelled", "ground_truth", "lead_time", "completed_by"];
    let [result, was_cancelled, ground_truth, lead_time, completed_by] =
        members(object, names).map_err(|_| bad(object, "an object is expected"))?;

    // An annotation without a result means that there is nothing to label, as in the host.
    let result = match given(result) {
        Some(result) => {
            check_objects(result).map_err(|part| bad(part, "\"result\" must be a list of objects"))?;
            Text::of_slice(reading.text, result)
        }
        None => reading.own("[]".to_owned())?,
    };
    Ok(AnnotationItem {
        result,
        was_cancelled: boolean(was_cancelled).map_err(|part| bad(part, "\"was_cancelled\" must be true or false"))?,
        ground_truth: boolean(ground_truth).map_err(|part| bad(part, "\"ground_truth\" must be true or false"))?,
        lead_time: number(lead_time).map_err(|part| bad(part, "\"lead_time\" must be a number or null"))?,
        completed_by: user(completed_by)
            .map_err(|part| bad(part, "\"completed_by\" must be the id of a user or null"))?,
    })
}

fn prediction<'a>(reading: &mut Reading<'_>, object: &'a str) -> Result<PredictionItem, LabelsError<'a>> {
    let bad = PredictionItem::bad;
    let [result, score, model_version] =
        members(object, ["result", "score", "model_version"]).map_err(|_| bad(object, "an object is expected"))?;

    let Some(result) = given(result) else { return Err(bad(object, "every prediction needs a \"result\"").into()) };
    let result = if is_object(result) {
        reading.own(format!("[{result}]"))?
    } else {
        check_objects(result).map_err(|part| bad(part, "\"result\" must be an object or a list of objects"))?;
        Text::of_slice(reading.text, result)
    };
    reading.budget.take(model_version.map_or(0, str::len)).map_err(LabelsError::Other)?;
    let model_version = version(model_version).map_err(|part| bad(part, "\"model_version\" must be a text or null"))?;
    Ok(PredictionItem {
        result,
        score: number(score).map_err(|part| bad(part, "\"score\" must be a number or null"))?,
        model_version,
    })
}

/// The member, unless it is missing or null.
fn given(member: Option<&str>) -> Option<&str> {
    member.filter(|json| *json != "null")
}

/// Whether labels are empty: the host treats all values as empty that are false in Python.
fn is_blank(json: &str) -> bool {
    let blank_inside = |open, close| {
        json.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).is_some_and(|inside| inside.trim().is_empty())
    };
    matches!(json, "null" | "false" | "0" | "\"\"") || blank_inside('[', ']') || blank_inside('{', '}')
}

fn boolean(member: Option<&str>) -> Result<bool, &str> {
    match given(member) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(other),
    }
}

fn number(member: Option<&str>) -> Result<Option<f64>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    let parsed = json.parse().ok().filter(|number: &f64| number.is_finite());
    parsed.map(Some).ok_or(json)
}

/// A user's ID, alone or in the object that the host exports.
fn user(member: Option<&str>) -> Result<Option<i64>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    let id = if is_object(json) { members(json, ["id"]).ok().and_then(|[id]| id) } else { Some(json) };
    id.and_then(|id| id.parse().ok()).map(Some).ok_or(json)
}

/// A text; a number is accepted too, in its original spelling.
fn version(member: Option<&str>) -> Result<Option<String>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).map(Some).map_err(|_| json),
        Some(b'-' | b'0'..=b'9') => Ok(Some(json.to_owned())),
        _ => Err(json),
    }
}
