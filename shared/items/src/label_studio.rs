//! Labels in the format of Label Studio, with the values that its own import accepts.
//!
//! Label Studio drops all labels of a task if one value is invalid, and says nothing. Here only that value is left out, with
//! a warning. An annotation whose result is invalid quarantines its object. A null is the same as a missing member.

use longshore_db::host::{AnnotationDetails, ControlTags, RegionsError, count_regions};
use longshore_model::json_parts::{check_objects, members};
use longshore_model::{ItemWarning, python};

use super::fields::{action, choice, choice_or_null, double, key, skip, time, unique_id, whole};
use super::labels::{AnnotationItem, Labels, PredictionDetails, PredictionItem, Reading};
use super::lists::Label;
use super::numbers::Numbers;
use super::text::Text;
use super::values::given;
use super::{Fault, shorthand};

/// Reads whether annotators may skip the task.
pub(super) fn allow_skip(reading: &mut Reading<'_>, member: Option<&str>) -> Option<bool> {
    skip(member).unwrap_or_else(|_| {
        reading.warn(ItemWarning::ValueIgnored);
        Some(true)
    })
}

/// Reads an annotation.
pub(super) fn annotation(reading: &mut Reading<'_>, label: Label<'_>) -> Result<Option<AnnotationItem>, Fault> {
    let (found, expected) =
        label.members(["result", "was_cancelled", "ground_truth", "lead_time", "completed_by", "skipped", "honeypot"]);
    let [result, was_cancelled, ground_truth, lead_time, completed_by, skipped, honeypot] =
        found.map_err(|_| reading.fault(AnnotationItem::bad(label.json(), "an object is expected")))?;
    let was_cancelled = choice(given(was_cancelled).or(given(skipped)));
    let ground_truth = choice(given(ground_truth).or(given(honeypot)));
    if result.is_none() {
        reading.warn(ItemWarning::ResultMissing);
    }
    let (result, result_count) = match given(result) {
        Some(json) => regions_of(reading, json, expected).map(|(text, count)| (Some(text), count))?,
        None => (None, 0),
    };
    let (completed_by, email) = annotator(reading, completed_by)?;
    let details = AnnotationDetails { email, result_count, ..details(reading, label)? };
    reading.budget.take(size_of::<AnnotationDetails>())?;
    Ok(Some(AnnotationItem {
        result,
        was_cancelled: reading.or_warn(was_cancelled, ItemWarning::WasCancelledIgnored),
        ground_truth: reading.or_warn(ground_truth, ItemWarning::GroundTruthIgnored),
        lead_time: reading.or_warn(double(lead_time), ItemWarning::LeadTimeIgnored),
        completed_by,
        details: Some(Box::new(details)),
    }))
}

/// A user, by the ID or by the e-mail address. The address counts if there are both, as in Label Studio's own import:
/// IDs differ between its installations.
fn annotator(reading: &mut Reading<'_>, member: Option<&str>) -> Result<(Option<i64>, Option<String>), Fault> {
    /// The longest address that Label Studio stores, in characters.
    const LONGEST: usize = 254;
    let Some(json) = given(member) else { return Ok((None, None)) };
    let (id, email) = match members(json, ["id", "email"]) {
        Ok([id, email]) => (given(id), given(email)),
        Err(_) if json.contains('@') => (None, Some(json)),
        Err(_) => (Some(json), None),
    };
    if let Some(email) = email.and_then(|json| serde_json::from_str::<String>(json).ok()) {
        let email = email.trim();
        if !email.is_empty() && email.chars().nth(LONGEST).is_none() {
            // Once here, and once among those that are looked up.
            reading.budget.take(2 * email.len())?;
            return Ok((None, Some(email.to_owned())));
        }
    }
    match key(id) {
        Ok(Some(id)) => Ok((Some(id), None)),
        Ok(None) | Err(_) => {
            reading.warn(ItemWarning::AnnotatorUnknown);
            Ok((None, None))
        }
    }
}

/// Reads what only Label Studio stores of an annotation.
fn details(reading: &mut Reading<'_>, label: Label<'_>) -> Result<AnnotationDetails, Fault> {
    let Label::Object(object) = label else { return Ok(AnnotationDetails::default()) };
    let names = [
        "unique_id",
        "import_id",
        "last_action",
        "last_created_by",
        "draft_created_at",
        "parent_prediction",
        "parent_annotation",
        "bulk_created",
    ];
    let [unique, import_id, last_action, last_created_by, draft, prediction, annotation, bulk] =
        members(object, names).map_err(|_| reading.fault(AnnotationItem::bad(object, "an object is expected")))?;
    let ignored = ItemWarning::ValueIgnored;
    Ok(AnnotationDetails {
        unique_id: reading.or_warn(unique_id(unique), ItemWarning::UniqueIdIgnored),
        import_id: reading.or_warn(whole(import_id), ignored),
        last_action: reading.or_warn(action(last_action), ignored),
        last_created_by: reading.or_warn(key(last_created_by), ignored),
        draft_created_at: reading.or_warn(time(draft), ignored),
        parent_prediction: reading.or_warn(key(prediction), ignored),
        parent_annotation: reading.or_warn(key(annotation), ignored),
        bulk_created: choice_or_null(bulk).unwrap_or_else(|_| {
            reading.warn(ignored);
            Some(false)
        }),
        ..AnnotationDetails::default()
    })
}

/// A result and the number of its distinct region IDs. The result may be a list, or a text that holds one.
fn regions_of(reading: &mut Reading<'_>, json: &str, expected: &'static str) -> Result<(Text, i32), Fault> {
    if !json.starts_with('"') {
        return match count_regions(json, reading.summary, reading.budget) {
            Ok(count) => Ok((Text::of_slice(reading.text, json), count)),
            Err(RegionsError::Bad { part, expected: _ }) if part == json => {
                Err(reading.fault(AnnotationItem::bad(part, expected)))
            }
            Err(RegionsError::Bad { part, expected }) => Err(reading.fault(AnnotationItem::bad(part, expected))),
            Err(RegionsError::Memory(fault)) => Err(fault),
        };
    }
    let list = reading.json_in_text(json, Numbers::OfPython)?.filter(|inner| inner.starts_with('['));
    let Some(list) = list.map(Text::from) else {
        let expected = "a \"result\" that is a text must hold a JSON list of objects";
        return Err(reading.fault(AnnotationItem::bad(json, expected)));
    };
    match count_regions(&list, reading.summary, reading.budget) {
        Ok(count) => Ok((list, count)),
        Err(RegionsError::Bad { expected, .. }) => Err(reading.fault(AnnotationItem::bad(json, expected))),
        Err(RegionsError::Memory(fault)) => Err(fault),
    }
}

/// Reads a prediction.
pub(super) fn prediction(
    reading: &mut Reading<'_>,
    label: Label<'_>,
    controls: &ControlTags,
) -> Result<Option<PredictionItem>, Fault> {
    let [result, score, model_version] = label.of_prediction(reading)?;
    let regions = match given(result) {
        Some(list) if list.starts_with('[') => {
            check_objects(list).map(|()| Some(Text::of_slice(reading.text, list))).map_err(drop)
        }
        Some(other) => shorthand::regions(other, controls, reading.budget)?.map_err(drop),
        None => Err(()),
    };
    let Ok(result) = regions else {
        reading.warn(ItemWarning::PredictionIgnored);
        return Ok(None);
    };
    let version = given(model_version).map_or(Ok(None), |json| {
        let is_read = json.starts_with(|first: char| matches!(first, '"' | '-' | '0'..='9'));
        if is_read { Ok(Some(python::trim(&python::text(json)).to_owned())) } else { Err(()) }
    });
    reading.budget.take(model_version.map_or(0, str::len))?;
    let details = prediction_details(reading, label)?;
    let has_details = details != PredictionDetails::default();
    reading.budget.take(if has_details { size_of::<PredictionDetails>() } else { 0 })?;
    Ok(Some(PredictionItem {
        result,
        score: reading.or_warn(double(score), ItemWarning::ScoreIgnored),
        model_version: reading.or_warn(version, ItemWarning::ModelVersionIgnored),
        details: has_details.then(|| Box::new(details)),
    }))
}

/// Reads what only Label Studio stores of a prediction.
fn prediction_details(reading: &mut Reading<'_>, label: Label<'_>) -> Result<PredictionDetails, Fault> {
    let Label::Object(object) = label else { return Ok(PredictionDetails::default()) };
    let names = ["cluster", "neighbors", "mislabeling", "model", "model_run"];
    let [cluster, neighbors, mislabeling, model, model_run] =
        members(object, names).map_err(|_| reading.fault(PredictionItem::bad(object, "an object is expected")))?;
    let ignored = ItemWarning::ValueIgnored;
    Ok(PredictionDetails {
        cluster: reading.or_warn(whole(cluster), ignored),
        neighbors: given(neighbors).map(|json| Text::of_slice(reading.text, json)),
        mislabeling: reading.or_warn(double(mislabeling), ignored).unwrap_or_default(),
        model: reading.or_warn(key(model), ignored),
        model_run: reading.or_warn(key(model_run), ignored),
    })
}
