//! Labels in the native format.

use longshore_model::json_parts::{check_objects, is_object, members};

use super::labels::{AnnotationItem, Labels, LabelsError, PredictionItem, Reading};
use super::text::Text;
use super::values::{boolean, given, number, user, version};

/// Reads an annotation of the native format.
pub(super) fn annotation<'a>(reading: &mut Reading<'_>, object: &'a str) -> Result<AnnotationItem, LabelsError<'a>> {
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
        result: Some(result),
        was_cancelled: boolean(was_cancelled).map_err(|part| bad(part, "\"was_cancelled\" must be true or false"))?,
        ground_truth: boolean(ground_truth).map_err(|part| bad(part, "\"ground_truth\" must be true or false"))?,
        lead_time: number(lead_time).map_err(|part| bad(part, "\"lead_time\" must be a number or null"))?,
        completed_by: user(completed_by)
            .map_err(|part| bad(part, "\"completed_by\" must be the id of a user or null"))?,
        details: None,
    })
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
        check_objects(result).map_err(|part| bad(part, "\"result\" must be an object or a list of objects"))?;
        Text::of_slice(reading.text, result)
    };
    reading.budget.take(model_version.map_or(0, str::len)).map_err(LabelsError::Other)?;
    let model_version = version(model_version).map_err(|part| bad(part, "\"model_version\" must be a text or null"))?;
    Ok(PredictionItem {
        result: Some(result),
        score: number(score).map_err(|part| bad(part, "\"score\" must be a number or null"))?,
        model_version,
        details: None,
    })
}
