//! Regions of an annotation: what Label Studio requires of them, and what it counts.

use std::borrow::Cow;
use std::collections::BTreeSet;

use longshore_db::host::SummaryDelta;

use super::members::{each_element, each_member, is_object, members};
use super::values::{given, python_text};
use super::{Budget, Fault};

/// Bytes of an ID in a set, besides its text if that is not a part of the object.
const ID_BYTES: usize = 64;

/// Why regions cannot be read.
pub(super) enum RegionsError<'a> {
    Bad { part: &'a str, expected: &'static str },
    Other(Fault),
}

impl From<Fault> for RegionsError<'_> {
    fn from(fault: Fault) -> Self {
        Self::Other(fault)
    }
}

/// Adds the regions of a result to a summary. Returns the number of distinct region IDs, of which a missing one counts
/// as one.
pub(super) fn count<'a>(
    result: &'a str,
    summary: &mut SummaryDelta,
    budget: &mut Budget,
) -> Result<i32, RegionsError<'a>> {
    const LIST: &str = "\"result\" must be a list of objects";
    let (mut ids, mut bytes, mut trouble) = (BTreeSet::new(), 0, None);
    let walked = each_element(result, |region| {
        let counted = if is_object(region) {
            add(region, summary, budget).and_then(|id| {
                let taken = ID_BYTES + if matches!(id, Cow::Owned(_)) { id.len() } else { 0 };
                budget.take(taken)?;
                bytes += taken;
                ids.insert(id);
                Ok(())
            })
        } else {
            Err(RegionsError::Bad { part: region, expected: LIST })
        };
        trouble = counted.err();
        trouble.is_none()
    });
    match (trouble, walked) {
        (Some(trouble), _) => return Err(trouble),
        (None, Err(_)) => return Err(RegionsError::Bad { part: result, expected: LIST }),
        (None, Ok(())) => {}
    }
    budget.give(bytes);
    Ok(i32::try_from(ids.len()).unwrap_or(i32::MAX))
}

/// Adds a region, and returns its ID.
fn add<'a>(region: &'a str, summary: &mut SummaryDelta, budget: &mut Budget) -> Result<Cow<'a, str>, RegionsError<'a>> {
    let bad = |expected| move |part| RegionsError::Bad { part, expected };
    let [id, kind, from_name, to_name, value] = members(region, ["id", "type", "from_name", "to_name", "value"])
        .map_err(|_| RegionsError::Bad { part: region, expected: "a region must be an object" })?;
    let id = id.map_or(Cow::Borrowed("null"), plain);
    let Some(kind) = given(kind) else { return Ok(id) };
    let kind = text(kind).map_err(bad("the \"type\" of a region must be a text"))?;
    // Relations have no names. Label Studio shows regions without names, and does not count them.
    let (Some(from_name), Some(to_name)) = (from_name, to_name) else { return Ok(id) };
    if matches!(&*kind, "relation" | "pairwise") {
        return Ok(id);
    }
    let from_name = text(from_name).map_err(bad("the \"from_name\" of a region must be a text"))?;
    let to_name = names(to_name).map_err(bad("the \"to_name\" of a region must be a text or a list of texts"))?;
    budget.take(summary.count_region(&from_name, &to_name, &kind))?;
    let Some(value) = value.filter(|value| is_object(value)) else {
        return Err(bad("a region with a \"type\" needs an object \"value\"")(value.unwrap_or(region)));
    };
    budget.take(summary.add_control(&from_name))?;
    count_labels(&from_name, &kind, value, summary, budget)?;
    Ok(id)
}

/// Adds the labels of a region: the list in its value that has the name of its type.
fn count_labels(
    from_name: &str,
    kind: &str,
    value: &str,
    summary: &mut SummaryDelta,
    budget: &mut Budget,
) -> Result<(), Fault> {
    if kind == "text" {
        return Ok(());
    }
    let wanted = if kind == "videorectangle" { "labels" } else { kind };
    let (mut labels, mut fault) = (None, Ok(()));
    let found = each_member(value, |name, json| {
        if name == wanted {
            labels = Some(json);
        }
    });
    let Some(labels) = labels.filter(|labels| found.is_ok() && labels.starts_with('[')) else { return Ok(()) };
    let mut add = |label: &str| {
        if fault.is_ok() {
            fault = budget.take(summary.count_label(from_name, &python_text(label)));
        }
    };
    // The labels of a taxonomy are lists of the names on the way to them.
    let walked = each_element(labels, |label| {
        if kind == "taxonomy" && label.starts_with('[') {
            each_element(label, |name| {
                add(name);
                true
            })
            .is_ok()
        } else {
            add(label);
            true
        }
    });
    // The list is checked JSON.
    drop(walked);
    fault
}

/// A JSON string, without its quotes and escapes.
fn text(json: &str) -> Result<Cow<'_, str>, &str> {
    if json.starts_with('"') { Ok(plain(json)) } else { Err(json) }
}

/// Names joined by commas.
fn names(json: &str) -> Result<Cow<'_, str>, &str> {
    if !json.starts_with('[') {
        return text(json);
    }
    let (mut joined, mut bad) = (String::new(), None);
    let walked = each_element(json, |name| {
        match text(name) {
            Ok(name) if joined.is_empty() => joined.push_str(&name),
            Ok(name) => joined.extend([",", &*name]),
            Err(_) => bad = Some(json),
        }
        bad.is_none()
    });
    match (bad, walked) {
        (None, Ok(())) => Ok(Cow::Owned(joined)),
        _ => Err(json),
    }
}

/// A JSON string without quotes and escapes; other values as they are.
fn plain(json: &str) -> Cow<'_, str> {
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inside) if !inside.contains('\\') => Cow::Borrowed(inside),
        Some(_) => serde_json::from_str(json).map_or(Cow::Borrowed(json), Cow::Owned),
        None => Cow::Borrowed(json),
    }
}
