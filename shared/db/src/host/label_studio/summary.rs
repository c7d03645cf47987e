//! What tasks add to the project's summary: columns of data, and regions and labels of annotations.
//!
//! Label Studio keeps these in one JSON row for each project and rewrites it without a lock. Pages write what they add
//! as rows of `host_deltas`; `fold` adds them up under the lock of the summary.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, RawJson, Result as DbResult};

/// What tasks add to the summary of their project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delta {
    /// Number of tasks.
    pub(super) tasks: i64,
    /// Number of tasks by key of their data.
    pub(super) columns: BTreeMap<String, i64>,
    /// Number of regions by `from_name|to_name|type`.
    pub(super) annotations: BTreeMap<String, i64>,
    /// Number of labels by control and label.
    pub(super) labels: BTreeMap<String, BTreeMap<String, i64>>,
}

impl Delta {
    /// Adds a task with this JSON text of its data.
    ///
    /// # Errors
    /// The text is no JSON object.
    pub(super) fn add_task(&mut self, data: &str) -> Result<(), serde_json::Error> {
        self.tasks += 1;
        for key in keys(data)? {
            *self.columns.entry(key).or_default() += 1;
        }
        Ok(())
    }

    /// The JSON form, as stored.
    pub(super) fn to_json(&self) -> DbResult<RawJson<String>> {
        serde_json::to_string(self).map(RawJson).map_err(|error| Error::unreadable("host_deltas.delta", error))
    }

    /// Reads the stored form.
    pub(super) fn of_json(text: &str) -> DbResult<Self> {
        serde_json::from_str(text).map_err(|error| Error::unreadable("host_deltas.delta", error))
    }

    /// Adds another one.
    pub(super) fn add(&mut self, other: Self) {
        self.tasks += other.tasks;
        add(&mut self.columns, other.columns);
        add(&mut self.annotations, other.annotations);
        for (control, counts) in other.labels {
            add(self.labels.entry(control).or_default(), counts);
        }
    }

    /// Adds the regions of an annotation with this JSON text of its result. What is no region is left out, as in Label
    /// Studio.
    pub(super) fn add_annotation(&mut self, result: &str) {
        let Ok(Value::Array(regions)) = serde_json::from_str(result) else { return };
        for region in regions.iter().filter_map(Value::as_object) {
            self.add_region(region);
        }
    }

    fn add_region(&mut self, region: &Map<String, Value>) {
        let name = |field: &str| match region.get(field)? {
            Value::String(name) => Some(name.clone()),
            Value::Array(names) => Some(names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")),
            _ => None,
        };
        let (Some(from), Some(to), Some(kind)) = (name("from_name"), name("to_name"), name("type")) else { return };
        let kind = kind.to_lowercase();
        if matches!(&*kind, "relation" | "pairwise") {
            return;
        }
        *self.annotations.entry(format!("{from}|{to}|{kind}")).or_default() += 1;
        if kind == "text" {
            return;
        }
        let value = region.get("value");
        let labels = value.and_then(|value| value.get(if kind == "videorectangle" { "labels" } else { &*kind }));
        let Some(Value::Array(labels)) = labels else { return };
        for label in flat(labels) {
            *self.labels.entry(from.clone()).or_default().entry(label).or_default() += 1;
        }
    }
}

fn add(totals: &mut BTreeMap<String, i64>, counts: BTreeMap<String, i64>) {
    for (name, count) in counts {
        *totals.entry(name).or_default() += count;
    }
}

/// The labels of a list. Those of a taxonomy are lists of the names on the way to them.
fn flat(labels: &[Value]) -> Vec<String> {
    let text = |label: &Value| match label {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    labels.iter().flat_map(|label| label.as_array().map_or_else(|| vec![text(label)], |path| flat(path))).collect()
}

/// The names of an object's members, each once.
fn keys(object: &str) -> Result<BTreeSet<String>, serde_json::Error> {
    struct Keys;
    impl<'de> Visitor<'de> for Keys {
        type Value = BTreeSet<String>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut keys = BTreeSet::new();
            while let Some((key, IgnoredAny)) = members.next_entry()? {
                keys.insert(key);
            }
            Ok(keys)
        }
    }
    serde_json::Deserializer::from_str(object).deserialize_map(Keys)
}

/// The columns that all tasks have, after these were added to `tasks_before` tasks with `common_before`. Sorted, as in
/// Label Studio.
pub(super) fn common(common_before: Option<&[String]>, delta: &Delta) -> Vec<String> {
    let in_all = delta.columns.iter().filter(|(_, tasks)| **tasks == delta.tasks).map(|(key, _)| key);
    let in_all = in_all.filter(|key| common_before.is_none_or(|before| before.contains(key)));
    in_all.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(tasks: &[&str]) -> Delta {
        let mut delta = Delta::default();
        tasks.iter().for_each(|data| delta.add_task(data).unwrap());
        delta
    }

    #[test]
    fn columns_are_counted_once_for_each_task() {
        let delta = delta(&[r#"{"x": 1, "x": 2}"#, r#"{"x": {"y": 1}, "z": []}"#]);
        assert_eq!(delta.columns, BTreeMap::from([("x".to_owned(), 2), ("z".to_owned(), 1)]));
        assert!(Delta::default().add_task("[]").is_err());
    }

    #[test]
    fn common_columns_are_those_of_all_tasks() {
        let [x, y, both] = [&[r#"{"x": 1}"#][..], &[r#"{"y": 1}"#], &[r#"{"y": 1, "x": 1}"#]].map(delta);
        assert_eq!(common(None, &both), ["x", "y"]);
        assert_eq!(common(Some(&["x".to_owned()]), &both), ["x"]);
        assert_eq!(common(Some(&["x".to_owned()]), &y), [""; 0]);
        assert_eq!(common(None, &x), ["x"]);
    }

    #[test]
    fn regions_and_their_labels_are_counted_exactly() {
        let mut delta = Delta::default();
        delta.add_annotation(
            r#"[{"from_name": "label", "to_name": "image", "type": "Choices", "value": {"choices": ["cat"]}},
                {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["dog", "cat"]}},
                {"from_name": "t", "to_name": ["a", "b"], "type": "taxonomy", "value": {"taxonomy": [["x", "y"]]}},
                {"from_name": "label", "to_name": "image", "type": "relation"},
                {"from_name": "words", "to_name": "image", "type": "text", "value": {"text": ["no label"]}},
                {"type": "choices"}, 5]"#,
        );
        delta.add_annotation("null");
        let counts = |pairs: &[(&str, i64)]| pairs.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect();
        let expected = [("label|image|choices", 2), ("t|a,b|taxonomy", 1), ("words|image|text", 1)];
        assert_eq!(delta.annotations, counts(&expected));
        assert_eq!(delta.labels["label"], counts(&[("cat", 2), ("dog", 1)]));
        assert_eq!(delta.labels["t"], counts(&[("x", 1), ("y", 1)]));
    }
}
