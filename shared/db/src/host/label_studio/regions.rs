//! Regions of annotations that are in Label Studio's tables, for the comparison of a summary with them.
//!
//! The worker counts those of an object while it reads the object, within the object's memory, and refuses malformed ones.
//! Here they are what Label Studio accepted, so what is no region is left out, as Label Studio does.

use serde_json::{Map, Value};

use crate::host::SummaryDelta;

/// Adds the regions of an annotation with this JSON text of its result.
pub(super) fn count(result: &str, summary: &mut SummaryDelta) {
    let Ok(Value::Array(regions)) = serde_json::from_str(result) else { return };
    regions.iter().filter_map(Value::as_object).for_each(|region| add(region, summary));
}

fn add(region: &Map<String, Value>, summary: &mut SummaryDelta) {
    let name = |field: &str| match region.get(field)? {
        Value::String(name) => Some(name.clone()),
        Value::Array(names) => Some(names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")),
        _ => None,
    };
    let (Some(from), Some(to), Some(kind)) = (name("from_name"), name("to_name"), name("type")) else { return };
    if matches!(&*kind, "relation" | "pairwise") {
        return;
    }
    summary.count_region(&from, &to, &kind);
    summary.add_control(&from);
    let member = if kind == "videorectangle" { "labels" } else { &*kind };
    let labels = region.get("value").and_then(|value| value.get(member)).and_then(Value::as_array);
    for label in labels.filter(|_| kind != "text").into_iter().flatten() {
        for label in parts(label, &kind) {
            summary.count_label(&from, &text(label));
        }
    }
}

/// The labels in one entry of a region's list. That of a taxonomy is a list of the names on the way to it.
fn parts<'a>(label: &'a Value, kind: &str) -> Vec<&'a Value> {
    match label.as_array() {
        Some(path) if kind == "taxonomy" => path.iter().collect(),
        _ => vec![label],
    }
}

/// A label as text, as Python prints it.
fn text(label: &Value) -> String {
    match label {
        Value::String(text) => text.clone(),
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn regions_and_their_labels_are_counted_exactly() {
        let mut summary = SummaryDelta::default();
        count(
            r#"[{"from_name": "label", "to_name": "image", "type": "Choices", "value": {"Choices": ["cat"], "choices": [1]}},
                {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["dog", "cat"]}},
                {"from_name": "t", "to_name": ["a", "b"], "type": "taxonomy", "value": {"taxonomy": [["x", "y"]]}},
                {"from_name": "label", "to_name": "image", "type": "relation"},
                {"from_name": "words", "to_name": "image", "type": "text", "value": {"text": ["no label"]}},
                {"type": "choices"}, 5]"#,
            &mut summary,
        );
        count("null", &mut summary);
        let counts =
            |pairs: &[(&str, i64)]| pairs.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect::<BTreeMap<_, _>>();
        let expected = [("label|image|choices", 2), ("t|a,b|taxonomy", 1), ("words|image|text", 1)];
        assert_eq!(summary.annotations, counts(&expected));
        assert_eq!(summary.labels["label"], counts(&[("cat", 2), ("dog", 1)]));
        assert_eq!(summary.labels["t"], counts(&[("x", 1), ("y", 1)]));
        assert_eq!(summary.labels["words"], counts(&[]), "a control without labels");
    }
}
