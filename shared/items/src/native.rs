//! Labels in the native format.
//!
//! Values of another type are read where they can mean only one thing, by the same rules as in the format of Label Studio.
//! What matters less than the labels of annotators is left out with a warning if it cannot be read.

use longshore_db::host::ControlTags;
use longshore_model::ItemWarning;
use longshore_model::json_parts::{check_objects, is_object, members};

use super::fields::{choice, double, key};
use super::labels::{AnnotationItem, Labels, PredictionItem, Reading};
use super::lists::Label;
use super::members::is_region;

use super::numbers::Numbers;
use super::text::Text;
use super::values::{given, version};
use super::{Fault, shorthand};

/// Reads an annotation. Before Label Studio 1.0, `skipped` was the name of `was_cancelled`, and `honeypot` that of
/// `ground_truth`.
pub(super) fn annotation(
    reading: &mut Reading<'_>,
    label: Label<'_>,
    controls: &ControlTags,
) -> Result<Option<AnnotationItem>, Fault> {
    let bad = AnnotationItem::bad;
    let names = ["result", "was_cancelled", "skipped", "ground_truth", "honeypot", "lead_time", "completed_by"];
    let (found, expected) = label.members(names);
    let [result, was_cancelled, skipped, ground_truth, honeypot, lead_time, completed_by] =
        found.map_err(|_| reading.fault(bad(label.json(), "an object is expected")))?;

    let was_cancelled = choice(given(was_cancelled).or(given(skipped)));
    let was_cancelled = reading.or_warn(was_cancelled, ItemWarning::WasCancelledIgnored);
    let ground_truth = choice(given(ground_truth).or(given(honeypot)));
    let regions = match given(result) {
        Some(json) => regions(reading, json, controls)?.map_err(|part| reading.fault(bad(part, expected)))?,
        None if is_region(label.json()) => reading.own(format!("[{}]", label.json()))?,
        // There is nothing to label, as in the host.
        None => {
            if result.is_none() && !was_cancelled {
                reading.warn(ItemWarning::ResultMissing);
            }
            reading.own("[]".to_owned())?
        }
    };
    Ok(Some(AnnotationItem {
        result: Some(regions),
        was_cancelled,
        ground_truth: reading.or_warn(ground_truth, ItemWarning::GroundTruthIgnored),
        lead_time: reading.or_warn(double(lead_time), ItemWarning::LeadTimeIgnored),
        completed_by: reading.or_warn(annotator(completed_by), ItemWarning::AnnotatorUnknown),
        details: None,
    }))
}

/// The ID of a user, alone or in an object, as exports have it.
pub(super) fn annotator(member: Option<&str>) -> Result<Option<i64>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    if !is_object(json) {
        return key(Some(json));
    }
    let [id] = members(json, ["id"]).map_err(|_| json)?;
    // An object without an ID names the user in another way.
    key(id).and_then(|id| id.map(Some).ok_or(json))
}

/// A list of regions, also as a text that holds one; or what stands for regions.
///
/// # Errors
/// The inner error is the part that is no region.
fn regions<'a>(
    reading: &mut Reading<'_>,
    json: &'a str,
    controls: &ControlTags,
) -> Result<Result<Text, &'a str>, Fault> {
    let made = match json.as_bytes().first() {
        Some(b'[') => match check_objects(json) {
            Ok(()) => Some(Text::of_slice(reading.text, json)),
            Err(part) => match shorthand::region_of_texts(json, controls, reading.budget)? {
                Some(region) => Some(region),
                None => return Ok(Err(part)),
            },
        },
        Some(b'{') => Some(object(reading, json, controls)?),
        Some(b'"') => match reading.json_in_text(json, Numbers::OfDatabase)? {
            Some(inner) if is_object(&inner) => Some(object(reading, &inner, controls)?),
            Some(inner) if check_objects(&inner).is_ok() => Some(inner.into()),
            Some(inner) => shorthand::region_of_texts(&inner, controls, reading.budget)?,
            None if json == "\"\"" => Some("[]".to_owned().into()),
            None => shorthand::regions(json, controls, reading.budget)?.ok().flatten(),
        },
        _ => shorthand::regions(json, controls, reading.budget)?.ok().flatten(),
    };
    Ok(made.ok_or(json))
}

/// The list of an object in its place: a region, or the value of one by the label config.
fn object(reading: &mut Reading<'_>, json: &str, controls: &ControlTags) -> Result<Text, Fault> {
    if json[1..json.len() - 1].trim().is_empty() {
        return Ok("[]".to_owned().into());
    }
    let value = if is_region(json) { None } else { shorthand::regions(json, controls, reading.budget)?.ok().flatten() };
    match value {
        Some(region) => Ok(region),
        None => reading.own(format!("[{json}]")),
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
        Some(json) => regions(reading, json, controls)?.ok(),
        None if is_region(label.json()) => Some(reading.own(format!("[{}]", label.json()))?),
        None if result.is_none() => shorthand::regions(label.json(), controls, reading.budget)?.ok().flatten(),
        None => None,
    };
    let Some(regions) = regions else {
        reading.warn(ItemWarning::PredictionIgnored);
        return Ok(None);
    };
    reading.budget.take(model_version.map_or(0, str::len))?;
    Ok(Some(PredictionItem {
        result: Some(regions),
        score: reading.or_warn(double(score), ItemWarning::ScoreIgnored),
        model_version: reading.or_warn(version(model_version), ItemWarning::ModelVersionIgnored),
        details: None,
    }))
}
