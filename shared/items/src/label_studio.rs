//! Labels in the format of Label Studio, with the values that its own import accepts.
//!
//! Label Studio drops all labels of a task if one is invalid, and says nothing. Here the object is quarantined. A null is
//! the same as a missing member where exports of Label Studio may have it.

use longshore_db::host::{AnnotationDetails, ControlTags, RegionsError, count_regions};
use longshore_model::json_parts::{check_objects, is_object, members};
use longshore_model::{ItemWarning, QuarantineReason, python};

use super::fields::{action, choice, choice_or_null, double, key, skip, time, unique_id, whole};
use super::labels::{AnnotationItem, BadPart, Labels, LabelsError, PredictionDetails, PredictionItem, Reading};
use super::numbers::Numbers;
use super::shorthand;
use super::text::Text;
use super::values::{given, is_other_name, user};

/// Reads whether annotators may skip the task.
pub(super) fn allow_skip(member: Option<&str>) -> Result<Option<bool>, BadPart<'_>> {
    skip(member).map_err(|part| {
        let detail = "\"allow_skip\" must be true, false or null. Correct or remove it.".to_owned();
        BadPart { reason: QuarantineReason::UnsupportedValue, part, detail }
    })
}

/// Reads an annotation.
pub(super) fn annotation<'a>(reading: &mut Reading<'_>, object: &'a str) -> Result<AnnotationItem, LabelsError<'a>> {
    let bad = AnnotationItem::bad;
    let object_expected = |_| bad(object, "an object is expected");
    let [result, was_cancelled, ground_truth, lead_time, completed_by] =
        members(object, ["result", "was_cancelled", "ground_truth", "lead_time", "completed_by"])
            .map_err(object_expected)?;
    let (result, result_count) = match result {
        Some(json) if given(result).is_none() => return Err(bad(json, "\"result\" must be a list of objects").into()),
        Some(json) => regions_of(reading, json).map(|(text, count)| (Some(text), count))?,
        None => (None, 0),
    };
    let mut details = details(object)?;
    details.result_count = result_count;
    reading.budget.take(size_of::<AnnotationDetails>())?;
    Ok(AnnotationItem {
        result,
        was_cancelled: choice(was_cancelled).map_err(|part| bad(part, "\"was_cancelled\" must be true or false"))?,
        ground_truth: choice(ground_truth).map_err(|part| bad(part, "\"ground_truth\" must be true or false"))?,
        lead_time: double(lead_time).map_err(|part| bad(part, "\"lead_time\" must be a number or null"))?,
        completed_by: match given(completed_by) {
            Some(json) if is_other_name(json) => {
                reading.warn(ItemWarning::AnnotatorUnknown);
                Ok(None)
            }
            Some(json @ "\"\"") => Err(json),
            Some(json) if is_object(json) => user(completed_by),
            _ => key(completed_by),
        }
        .map_err(|part| bad(part, "\"completed_by\" must be the id of a user or null"))?,
        details: Some(Box::new(details)),
    })
}

/// Reads what only Label Studio stores of an annotation.
fn details(object: &str) -> Result<AnnotationDetails, LabelsError<'_>> {
    let bad = AnnotationItem::bad;
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
        members(object, names).map_err(|_| bad(object, "an object is expected"))?;
    Ok(AnnotationDetails {
        unique_id: unique_id(unique).map_err(|part| bad(part, "\"unique_id\" must be a UUID"))?,
        import_id: whole(import_id).map_err(|part| bad(part, "\"import_id\" must be a whole number or null"))?,
        last_action: action(last_action)
            .map_err(|part| bad(part, "\"last_action\" must be one of Label Studio's actions or null"))?,
        last_created_by: key(last_created_by)
            .map_err(|part| bad(part, "\"last_created_by\" must be the id of a user or null"))?,
        draft_created_at: time(draft).map_err(|part| bad(part, "\"draft_created_at\" must be a time or null"))?,
        parent_prediction: key(prediction)
            .map_err(|part| bad(part, "\"parent_prediction\" must be the id of a prediction or null"))?,
        parent_annotation: key(annotation)
            .map_err(|part| bad(part, "\"parent_annotation\" must be the id of an annotation or null"))?,
        bulk_created: choice_or_null(bulk).map_err(|part| bad(part, "\"bulk_created\" must be true, false or null"))?,
        result_count: 0,
    })
}

/// A result and the number of its distinct region IDs. The result may be a list, or a text that holds one.
fn regions_of<'a>(reading: &mut Reading<'_>, json: &'a str) -> Result<(Text, i32), LabelsError<'a>> {
    if !json.starts_with('"') {
        let count = count_regions(json, reading.summary, reading.budget).map_err(|error| match error {
            RegionsError::Bad { part, expected } => LabelsError::Bad(AnnotationItem::bad(part, expected)),
            RegionsError::Memory(fault) => fault.into(),
        })?;
        return Ok((Text::of_slice(reading.text, json), count));
    }
    let unreadable = || AnnotationItem::bad(json, "a \"result\" that is a text must hold a JSON list of objects");
    let list = reading.json_in_text(json, Numbers::OfPython)?.filter(|inner| inner.starts_with('['));
    let list = Text::from(list.ok_or_else(unreadable)?);
    let count = count_regions(&list, reading.summary, reading.budget).map_err(|error| match error {
        RegionsError::Bad { expected, .. } => LabelsError::Bad(AnnotationItem::bad(json, expected)),
        RegionsError::Memory(fault) => fault.into(),
    })?;
    Ok((list, count))
}

/// A member of a column that must not be null.
fn not_null(member: Option<&str>) -> Result<Option<&str>, &str> {
    member.filter(|json| *json == "null").map_or(Ok(member), Err)
}

/// Reads a prediction.
pub(super) fn prediction<'a>(
    reading: &mut Reading<'_>,
    object: &'a str,
    controls: &ControlTags,
) -> Result<PredictionItem, LabelsError<'a>> {
    let bad = PredictionItem::bad;
    let names = ["result", "score", "model_version"];
    let [result, score, model_version] = members(object, names).map_err(|_| bad(object, "an object is expected"))?;

    let Some(result) = given(result) else { return Err(bad(object, "every prediction needs a \"result\"").into()) };
    let result = if result.starts_with('[') {
        check_objects(result).map_err(|part| bad(part, "\"result\" must be a list of objects"))?;
        Some(Text::of_slice(reading.text, result))
    } else {
        let regions = shorthand::regions(result, controls, reading.budget)?;
        regions.map_err(|part| bad(part, "\"result\" must be a list, an object, a text or a whole number"))?
    };
    let version_expected = |part| bad(part, "\"model_version\" must be a text or a number");
    let model_version = match model_version {
        None => None,
        Some(json) if json.starts_with(|first: char| matches!(first, '"' | '-' | '0'..='9')) => {
            reading.budget.take(json.len())?;
            Some(python::trim(&python::text(json)).to_owned())
        }
        Some(part) => return Err(version_expected(part).into()),
    };
    let details = prediction_details(reading, object)?;
    let has_details = details != PredictionDetails::default();
    reading.budget.take(if has_details { size_of::<PredictionDetails>() } else { 0 })?;
    Ok(PredictionItem {
        result,
        score: double(score).map_err(|part| bad(part, "\"score\" must be a number or null"))?,
        model_version,
        details: has_details.then(|| Box::new(details)),
    })
}

/// Reads what only Label Studio stores of a prediction.
fn prediction_details<'a>(reading: &Reading<'_>, object: &'a str) -> Result<PredictionDetails, LabelsError<'a>> {
    let bad = PredictionItem::bad;
    let names = ["cluster", "neighbors", "mislabeling", "model", "model_run"];
    let [cluster, neighbors, mislabeling, model, model_run] =
        members(object, names).map_err(|_| bad(object, "an object is expected"))?;
    Ok(PredictionDetails {
        cluster: whole(cluster).map_err(|part| bad(part, "\"cluster\" must be a whole number or null"))?,
        neighbors: given(neighbors).map(|json| Text::of_slice(reading.text, json)),
        mislabeling: not_null(mislabeling)
            .and_then(double)
            .map_err(|part| bad(part, "\"mislabeling\" must be a number"))?
            .unwrap_or_default(),
        model: key(model).map_err(|part| bad(part, "\"model\" must be the id of an ML backend or null"))?,
        model_run: key(model_run).map_err(|part| bad(part, "\"model_run\" must be the id of a model run or null"))?,
    })
}
