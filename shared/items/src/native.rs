//! Labels in the native format.
//!
//! Values of another type are read where they can mean only one thing, by the same rules as in the format of Label Studio.
//! What matters less than the labels is left out with a warning if it cannot be read.

use longshore_model::ItemWarning;
use longshore_model::json_parts::{check_objects, is_object, members};

use super::fields::{choice, double, key};
use super::labels::{AnnotationItem, BadPart, Labels, LabelsError, PredictionItem, Reading};
use super::numbers::Numbers;
use super::text::Text;
use super::values::{given, version};

/// Reads an annotation of the native format. Before Label Studio 1.0, `skipped` was the name of `was_cancelled`, and
/// `honeypot` that of `ground_truth`.
pub(super) fn annotation<'a>(reading: &mut Reading<'_>, object: &'a str) -> Result<AnnotationItem, LabelsError<'a>> {
    let bad = AnnotationItem::bad;
    let names = ["result", "was_cancelled", "skipped", "ground_truth", "honeypot", "lead_time", "completed_by"];
    let [result, was_cancelled, skipped, ground_truth, honeypot, lead_time, completed_by] =
        members(object, names).map_err(|_| bad(object, "an object is expected"))?;

    // An annotation without a result means that there is nothing to label, as in the host.
    let result = match given(result) {
        Some(result) => regions(reading, result, |part| bad(part, "\"result\" must be a list of objects"))?,
        None => reading.own("[]".to_owned())?,
    };
    Ok(AnnotationItem {
        result: Some(result),
        was_cancelled: choice(given(was_cancelled).or(given(skipped)))
            .map_err(|part| bad(part, "\"was_cancelled\" must be true or false"))?,
        ground_truth: choice(given(ground_truth).or(given(honeypot)))
            .map_err(|part| bad(part, "\"ground_truth\" must be true or false"))?,
        lead_time: reading.or_warn(double(lead_time), ItemWarning::LeadTimeIgnored),
        completed_by: reading.or_warn(annotator(completed_by), ItemWarning::AnnotatorUnknown),
        details: None,
    })
}

/// The ID of a user, alone or in an object, as exports have it.
fn annotator(member: Option<&str>) -> Result<Option<i64>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    if !is_object(json) {
        return key(Some(json));
    }
    let [id] = members(json, ["id"]).map_err(|_| json)?;
    // An object without an ID names the user in another way.
    key(id).and_then(|id| id.map(Some).ok_or(json))
}

/// A list of regions, also as a text that holds one.
fn regions<'a>(
    reading: &mut Reading<'_>,
    json: &'a str,
    bad: impl Fn(&'a str) -> BadPart<'a>,
) -> Result<Text, LabelsError<'a>> {
    if json.starts_with('"') {
        let list = reading.list_in_text(json, Numbers::OfDatabase)?.map_err(|()| bad(json))?;
        return if check_objects(&list).is_ok() { Ok(list.into()) } else { Err(bad(json).into()) };
    }
    check_objects(json).map_err(bad)?;
    Ok(Text::of_slice(reading.text, json))
}

/// Reads a prediction of the native format.
pub(super) fn prediction<'a>(reading: &mut Reading<'_>, object: &'a str) -> Result<PredictionItem, LabelsError<'a>> {
    let bad = PredictionItem::bad;
    let [result, score, model_version] =
        members(object, ["result", "score", "model_version"]).map_err(|_| bad(object, "an object is expected"))?;

    let Some(result) = given(result) else { return Err(bad(object, "every prediction needs a \"result\"").into()) };
    let result = if is_object(result) {
        reading.own(format!("[{result}]"))?
    } else {
        regions(reading, result, |part| bad(part, "\"result\" must be an object or a list of objects"))?
    };
    reading.budget.take(model_version.map_or(0, str::len)).map_err(LabelsError::Other)?;
    Ok(PredictionItem {
        result: Some(result),
        score: reading.or_warn(double(score), ItemWarning::ScoreIgnored),
        model_version: reading.or_warn(version(model_version), ItemWarning::ModelVersionIgnored),
        details: None,
    })
}
