//! Compares the result of the demo with the expected result.
//!
//! It knows how the buckets were filled, reads them directly, and reads tasks and quarantine through the API. It does
//! not trust Longshore's counters.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::report::{grouped, print_line};
use super::tasks::{ExpectedResult, ExpectedTask, TaskFile};

/// All comparisons.
#[derive(Default)]
pub(super) struct Checks(Vec<Check>);

/// One comparison. Those with the same `about` follow each other.
struct Check {
    about: &'static str,
    what: String,
    expected: String,
    found: String,
}

impl Check {
    fn passed(&self) -> bool {
        self.expected == self.found
    }
}

impl Checks {
    /// Compares two numbers.
    pub(super) fn count(&mut self, about: &'static str, what: impl Into<String>, expected: usize, found: usize) {
        self.same(about, what, &grouped(expected), &grouped(found));
    }

    /// Compares two words.
    pub(super) fn same(&mut self, about: &'static str, what: impl Into<String>, expected: &str, found: &str) {
        self.0.push(Check { about, what: what.into(), expected: expected.to_owned(), found: found.to_owned() });
    }

    /// Compares some counters of a sync, and its status.
    pub(super) fn sync(&mut self, about: &'static str, sync: &Value, status: &str, counters: &[(&str, usize)]) {
        for (counter, expected) in counters {
            self.count(about, counter.replace('_', " "), *expected, number(&sync["counts"][*counter]));
        }
        self.same(about, "status", status, sync["status"].as_str().unwrap_or("none"));
    }

    /// Prints, for each `about`, one line for all passed checks and one for each failed check.
    pub(super) fn print(&self) {
        for group in self.0.chunk_by(|one, other| one.about == other.about) {
            let about = group[0].about;
            for Check { what, expected, found, .. } in group.iter().filter(|check| !check.passed()) {
                print_line(&format!("   FAIL {about:<20} {what}: {found}, expected {expected}"));
            }
            let passed: Vec<String> = group
                .iter()
                .filter(|check| check.passed())
                .map(|check| format!("{} {}", check.what, check.found))
                .collect();
            if !passed.is_empty() {
                print_line(&format!("   ok   {about:<20} {}", passed.join(", ")));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The names of the failed checks.
    pub(super) fn failures(&self) -> Vec<String> {
        let failed = self.0.iter().filter(|check| !check.passed());
        failed.map(|check| format!("{}: {}", check.about, check.what)).collect()
    }

    /// Compares image tasks with the bucket: one task per image, with its URI.
    pub(super) fn images(&mut self, about: &'static str, bucket: &str, keys: &[String], tasks: &[Value]) {
        let mut wanted: BTreeMap<String, usize> = keys.iter().map(|key| (format!("s3://{bucket}/{key}"), 0)).collect();
        let mut unknown = 0;
        for task in tasks {
            match task["data"]["image"].as_str().and_then(|uri| wanted.get_mut(uri)) {
                Some(times) => *times += 1,
                None => unknown += 1,
            }
        }
        let right = wanted.values().filter(|n| **n == 1).count();
        self.count(about, "images with exactly one task", keys.len(), right);
        self.count(about, "others", 0, unknown);
    }

    /// Compares tasks from files with the expected tasks of each file.
    pub(super) fn files(&mut self, files: &[TaskFile], tasks: &[Value]) {
        let mut by_key: BTreeMap<&str, Vec<ExpectedTask>> = BTreeMap::new();
        for task in tasks {
            let made = ExpectedTask {
                data: task["data"].clone(),
                annotations: task["annotations"].as_array().map_or(0, Vec::len),
                predictions: task["predictions"].as_array().map_or(0, Vec::len),
            };
            by_key.entry(task["storage_filename"].as_str().unwrap_or_default()).or_default().push(made);
        }
        let (mut right, mut items) = (0, 0);
        for file in files {
            let made = by_key.remove(file.key.as_str()).unwrap_or_default();
            let expected: &[ExpectedTask] = match &file.expected {
                ExpectedResult::Tasks(expected) => expected,
                ExpectedResult::Quarantine(_) => &[],
            };
            items += expected.len();
            // Tasks are ordered by ID, and a file's items get IDs in the order of the file.
            right += usize::from(made == expected);
        }
        self.count("file tasks", "all", items, tasks.len());
        self.count("file tasks", "files with exactly their tasks", files.len(), right);
        self.count("file tasks", "others", 0, by_key.len());
    }

    /// Compares quarantine with the invalid files, by reason.
    pub(super) fn quarantine(&mut self, files: &[TaskFile], rows: &[Value]) {
        let bad: BTreeMap<&str, &str> = files
            .iter()
            .filter_map(|file| match file.expected {
                ExpectedResult::Quarantine(reason) => Some((file.key.as_str(), reason)),
                ExpectedResult::Tasks(_) => None,
            })
            .collect();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let found: Vec<(String, String)> = rows.iter().map(|row| (text(row, "key"), text(row, "reason"))).collect();
        let right = |reason: &str| {
            found
                .iter()
                .filter(|(key, reason_found)| reason_found == reason && bad.get(key.as_str()) == Some(&reason))
                .count()
        };
        self.count("quarantine", "files", bad.len(), found.len());
        for reason in bad.values().collect::<BTreeSet<_>>() {
            let expected = bad.values().filter(|other| *other == reason).count();
            self.count("quarantine", *reason, expected, right(reason));
        }
    }

    /// Compares exported objects with the annotations of the tasks.
    pub(super) fn exported(&mut self, objects: &[(String, Value)], tasks: &[Value]) {
        let mut wanted = BTreeMap::new();
        for task in tasks {
            for annotation in task["annotations"].as_array().into_iter().flatten() {
                wanted.insert(format!("annotations/{}.json", annotation["id"]), (annotation, task));
            }
        }
        let right = objects.iter().filter(|(key, body)| {
            wanted.get(key).is_some_and(|(annotation, task)| {
                body["id"] == annotation["id"]
                    && body["result"] == annotation["result"]
                    && body["task"]["id"] == task["id"]
                    && body["task"]["data"] == task["data"]
            })
        });
        self.count("export bucket", "objects equal to their annotation", wanted.len(), right.count());
        self.count("export bucket", "objects", wanted.len(), objects.len());
    }
}

/// The value of a counter; a missing counter is `usize::MAX`, not zero.
pub(super) fn number(value: &Value) -> usize {
    value.as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failures(checks: &Checks) -> String {
        checks.failures().join("; ")
    }

    fn image(key: &str) -> Value {
        json!({"data": {"image": format!("s3://b/{key}")}})
    }

    #[test]
    fn a_missing_duplicate_or_unknown_image_task_is_reported() {
        let keys = ["1", "2"].map(str::to_owned);
        let checked = |tasks: &[Value]| {
            let mut checks = Checks::default();
            checks.images("image tasks", "b", &keys, tasks);
            failures(&checks)
        };
        assert_eq!(checked(&[image("2"), image("1")]), "");
        assert_eq!(checked(&[image("1")]), "image tasks: images with exactly one task");
        assert_eq!(checked(&[image("1"), image("2"), image("2")]), "image tasks: images with exactly one task");
        assert_eq!(checked(&[image("1"), image("2"), image("3")]), "image tasks: others");
    }

    fn file(key: &str, expected: ExpectedResult) -> TaskFile {
        TaskFile { key: key.to_owned(), bytes: Vec::new(), expected }
    }

    #[test]
    fn a_file_passes_only_with_all_its_items_in_order_and_with_labels() {
        let item = |n: i64| ExpectedTask { data: json!({"n": n}), annotations: 1, predictions: 0 };
        let files =
            [file("a", ExpectedResult::Tasks(vec![item(1), item(2)])), file("b", ExpectedResult::Quarantine("empty"))];
        let task = |n: i64| json!({"storage_filename": "a", "data": {"n": n}, "annotations": [{}], "predictions": []});
        let checked = |tasks: &[Value]| {
            let mut checks = Checks::default();
            checks.files(&files, tasks);
            failures(&checks)
        };
        assert_eq!(checked(&[task(1), task(2)]), "");
        assert_eq!(checked(&[task(2), task(1)]), "file tasks: files with exactly their tasks");
        assert!(checked(&[task(1)]).contains("file tasks: all"));
        let mut unlabeled = task(2);
        unlabeled["annotations"] = json!([]);
        assert_eq!(checked(&[task(1), unlabeled]), "file tasks: files with exactly their tasks");
    }

    #[test]
    fn quarantine_passes_only_with_the_expected_reason_for_each_key() {
        let files = [file("a", ExpectedResult::Quarantine("empty")), file("b", ExpectedResult::Quarantine("not_utf8"))];
        let row = |key: &str, reason: &str| json!({"key": key, "reason": reason});
        let checked = |rows: &[Value]| {
            let mut checks = Checks::default();
            checks.quarantine(&files, rows);
            failures(&checks)
        };
        assert_eq!(checked(&[row("a", "empty"), row("b", "not_utf8")]), "");
        assert_eq!(checked(&[row("b", "empty"), row("b", "not_utf8")]), "quarantine: empty");
        assert!(checked(&[row("a", "empty")]).starts_with("quarantine: files"));
    }

    #[test]
    fn an_exported_object_passes_only_if_it_equals_its_annotation() {
        let tasks = [json!({"id": 1, "data": {"t": 1}, "annotations": [{"id": 5, "result": [1]}]})];
        let checked = |key: &str, result: Value| {
            let body = json!({"id": 5, "result": result, "task": {"id": 1, "data": {"t": 1}}});
            let mut checks = Checks::default();
            checks.exported(&[(key.to_owned(), body)], &tasks);
            failures(&checks)
        };
        assert_eq!(checked("annotations/5.json", json!([1])), "");
        assert_eq!(checked("annotations/5.json", json!([2])), "export bucket: objects equal to their annotation");
        assert_eq!(checked("annotations/6.json", json!([1])), "export bucket: objects equal to their annotation");
    }

    #[test]
    fn a_missing_counter_is_not_zero() {
        let mut checks = Checks::default();
        let sync = json!({"status": "completed", "counts": {"created": 0}});
        checks.sync("again", &sync, "completed", &[("created", 0), ("existed", 0)]);
        assert_eq!(failures(&checks), "again: existed");
    }
}
