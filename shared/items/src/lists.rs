//! The forms in which an item may have its annotations or predictions: a list of objects, one of them alone, several by
//! their names, or JSON text with one of these.

use std::sync::Arc;

use longshore_model::ItemWarning;
use longshore_model::json_parts::{each_element, each_member, is_object, members};

use super::Fault;
use super::budget::LABELS_BYTES;
use super::labels::{Labels, PredictionItem, Reading};
use super::members::{begins_with, filled, is_region};
use super::numbers::Numbers;

/// An annotation or prediction in a file.
#[derive(Clone, Copy)]
pub(super) enum Label<'a> {
    /// Its members, the result among them.
    Object(&'a str),
    /// Its result alone.
    Result(&'a str),
}

impl<'a> Label<'a> {
    /// Its text in the file.
    pub(super) fn json(self) -> &'a str {
        match self {
            Self::Object(json) | Self::Result(json) => json,
        }
    }

    /// The named members. A result alone is the member `result`, which is the first name. Also what is expected of a result,
    /// as a part of a sentence.
    pub(super) fn members<const N: usize>(
        self,
        names: [&'static str; N],
    ) -> (serde_json::Result<[Option<&'a str>; N]>, &'static str) {
        match self {
            Self::Object(object) => (members(object, names), "\"result\" must be a list of objects"),
            Self::Result(result) => {
                let mut found = [None; N];
                found[..1].fill(Some(result));
                (Ok(found), "a list of objects is expected")
            }
        }
    }

    /// `result`, `score` and `model_version` of a prediction.
    pub(super) fn of_prediction(self, reading: &Reading<'_>) -> Result<[Option<&'a str>; 3], Fault> {
        let (found, _) = self.members(["result", "score", "model_version"]);
        found.map_err(|_| reading.fault(PredictionItem::bad(self.json(), "an object is expected")))
    }
}

/// Reads the annotations or predictions of an item. `each` reads one; `None` means that it was left out with a warning.
pub(super) fn read<T: Labels>(
    reading: &mut Reading<'_>,
    json: Option<&str>,
    numbers: Numbers,
    each: impl Fn(&mut Reading<'_>, Label<'_>) -> Result<Option<T>, Fault>,
) -> Result<Vec<T>, Fault> {
    let Some(json) = filled(json) else { return Ok(Vec::new()) };
    if let Some(inner) = reading.json_in_text(json, numbers)? {
        let (offset, inner) = (reading.offset(json), Arc::new(inner));
        let mut reading = reading.of_text(&inner);
        // A fault is at the text, because the positions inside of it are not those of the file.
        return read_value(&mut reading, &inner, &each).map_err(|fault| fault.moved_to(offset));
    }
    read_value(reading, json, &each)
}

fn read_value<T: Labels>(
    reading: &mut Reading<'_>,
    json: &str,
    each: &impl Fn(&mut Reading<'_>, Label<'_>) -> Result<Option<T>, Fault>,
) -> Result<Vec<T>, Fault> {
    let (mut labels, mut trouble) = (Vec::new(), None);
    let mut add = |label: Option<Label<'_>>| {
        if trouble.is_none()
            && let Some(label) = label
        {
            match reading.budget.take(LABELS_BYTES).and_then(|()| each(reading, label)) {
                Ok(label) => labels.extend(label),
                Err(fault) => trouble = Some(fault.in_row(reading.row)),
            }
        }
        trouble.is_none()
    };
    let mut has_ids = false;
    let mut label = |element| {
        has_ids |= is_id(element);
        label_of(element)
    };
    let walked = if json.starts_with('[') && !begins_with(json, is_region) {
        each_element(json, |element| add(label(element)))
    } else if is_map(json) {
        each_member(json, |_, element| {
            add(label(element));
        })
    } else {
        add(if json.starts_with('[') { Some(Label::Result(json)) } else { label(json) });
        Ok(())
    };
    if has_ids {
        reading.warn(ItemWarning::LabelIdsIgnored);
    }
    match (trouble, walked) {
        (None, Ok(())) => Ok(labels),
        (Some(fault), _) => Err(fault),
        (None, Err(_)) => Err(T::bad(json, "a list of objects is expected").in_text(reading.text).in_row(reading.row)),
    }
}

/// What an element of a list is. `None` if it is nothing, or an ID.
fn label_of(element: &str) -> Option<Label<'_>> {
    match element {
        "null" => None,
        id if is_id(id) => None,
        object if is_object(object) => Some(Label::Object(object)),
        result => Some(Label::Result(result)),
    }
}

/// Whether labels are named by an ID, or only counted.
fn is_id(json: &str) -> bool {
    let digits = json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(json);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether an object has labels as its values, such as by their IDs.
fn is_map(json: &str) -> bool {
    if !is_object(json) || is_region(json) || members(json, ["result"]).is_ok_and(|[result]| result.is_some()) {
        return false;
    }
    let (mut count, mut is_map) = (0_usize, true);
    let walked = each_member(json, |_, value| {
        count += 1;
        is_map &= is_object(value);
    });
    walked.is_ok() && is_map && count > 0
}
