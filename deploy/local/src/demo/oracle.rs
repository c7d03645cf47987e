//! Whether what happened is what had to happen.
//!
//! It knows how the buckets were filled, reads them again directly, and asks the API for tasks and
//! quarantine; it takes nothing from Longshore on trust, counters least of all.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::report::{grouped, say};
use super::tasks::{Expected, Gives, TaskFile};

/// Everything that was compared.
#[derive(Default)]
pub(super) struct Checks(Vec<Check>);

/// One comparison; those about one thing stand side by side.
struct Check {
    about: &'static str,
    what: String,
    expected: String,
    found: String,
}

impl Check {
    fn holds(&self) -> bool {
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

    /// Prints a line for all that holds about one thing, and one for each comparison that does not.
    pub(super) fn print(&self) {
        for group in self.0.chunk_by(|one, other| one.about == other.about) {
            let about = group[0].about;
            for Check { what, expected, found, .. } in group.iter().filter(|check| !check.holds()) {
                say(&format!("   OFF  {about:<20} {what}: {found}, but must be {expected}"));
            }
            let held: Vec<String> = group
                .iter()
                .filter(|check| check.holds())
                .map(|check| format!("{} {}", check.what, check.found))
                .collect();
            if !held.is_empty() {
                say(&format!("   ok   {about:<20} {}", held.join(", ")));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The names of those that do not hold.
    pub(super) fn off(&self) -> Vec<String> {
        let off = self.0.iter().filter(|check| !check.holds());
        off.map(|check| format!("{}: {}", check.about, check.what)).collect()
    }

    /// Compares image tasks with the bucket: one task an image, naming it.
    pub(super) fn images(&mut self, bucket: &str, keys: &[String], tasks: &[Value]) {
        let mut wanted: BTreeMap<String, usize> = keys.iter().map(|key| (format!("s3://{bucket}/{key}"), 0)).collect();
        let mut strange = 0;
        for task in tasks {
            match task["data"]["image"].as_str().and_then(|uri| wanted.get_mut(uri)) {
                Some(times) => *times += 1,
                None => strange += 1,
            }
        }
        self.count("image tasks", "images with exactly one", keys.len(), wanted.values().filter(|n| **n == 1).count());
        self.count("image tasks", "others", 0, strange);
    }

    /// Compares tasks from files with what each file had to give.
    pub(super) fn files(&mut self, files: &[TaskFile], tasks: &[Value]) {
        let mut by_key: BTreeMap<&str, Vec<Expected>> = BTreeMap::new();
        for task in tasks {
            let made = Expected {
                data: task["data"].clone(),
                annotations: task["annotations"].as_array().map_or(0, Vec::len),
                predictions: task["predictions"].as_array().map_or(0, Vec::len),
            };
            by_key.entry(task["storage_filename"].as_str().unwrap_or_default()).or_default().push(made);
        }
        let (mut right, mut items) = (0, 0);
        for file in files {
            let made = by_key.remove(file.key.as_str()).unwrap_or_default();
            let expected: &[Expected] = match &file.gives {
                Gives::Tasks(expected) => expected,
                Gives::Quarantine(_) => &[],
            };
            items += expected.len();
            // Tasks come by id, and the ids of a file's items in the order of the file.
            right += usize::from(made == expected);
        }
        self.count("file tasks", "all", items, tasks.len());
        self.count("file tasks", "files with exactly theirs", files.len(), right);
        self.count("file tasks", "others", 0, by_key.len());
    }

    /// Compares quarantine with the bad files, by reason.
    pub(super) fn quarantine(&mut self, files: &[TaskFile], rows: &[Value]) {
        let bad: BTreeMap<&str, &str> = files
            .iter()
            .filter_map(|file| match file.gives {
                Gives::Quarantine(reason) => Some((file.key.as_str(), reason)),
                Gives::Tasks(_) => None,
            })
            .collect();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let found: Vec<(String, String)> = rows.iter().map(|row| (text(row, "key"), text(row, "reason"))).collect();
        let right = |reason: &str| {
            found.iter().filter(|(key, said)| said == reason && bad.get(key.as_str()) == Some(&reason)).count()
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
        self.count("export bucket", "objects that say what their annotation says", wanted.len(), right.count());
        self.count("export bucket", "objects", wanted.len(), objects.len());
    }
}

/// A counter; one that is missing is told apart from zero.
pub(super) fn number(value: &Value) -> usize {
    value.as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn off(checks: &Checks) -> String {
        checks.off().join("; ")
    }

    fn image(key: &str) -> Value {
        json!({"data": {"image": format!("s3://b/{key}")}})
    }

    #[test]
    fn an_image_that_is_missing_doubled_or_strange_is_named() {
        let keys = ["1", "2"].map(str::to_owned);
        let checked = |tasks: &[Value]| {
            let mut checks = Checks::default();
            checks.images("b", &keys, tasks);
            off(&checks)
        };
        assert_eq!(checked(&[image("2"), image("1")]), "");
        assert_eq!(checked(&[image("1")]), "image tasks: images with exactly one");
        assert_eq!(checked(&[image("1"), image("2"), image("2")]), "image tasks: images with exactly one");
        assert_eq!(checked(&[image("1"), image("2"), image("3")]), "image tasks: others");
    }

    fn file(key: &str, gives: Gives) -> TaskFile {
        TaskFile { key: key.to_owned(), bytes: Vec::new(), gives }
    }

    #[test]
    fn a_file_is_right_only_with_all_its_items_in_order_and_their_labels() {
        let item = |n: i64| Expected { data: json!({"n": n}), annotations: 1, predictions: 0 };
        let files = [file("a", Gives::Tasks(vec![item(1), item(2)])), file("b", Gives::Quarantine("empty"))];
        let task = |n: i64| json!({"storage_filename": "a", "data": {"n": n}, "annotations": [{}], "predictions": []});
        let checked = |tasks: &[Value]| {
            let mut checks = Checks::default();
            checks.files(&files, tasks);
            off(&checks)
        };
        assert_eq!(checked(&[task(1), task(2)]), "");
        assert_eq!(checked(&[task(2), task(1)]), "file tasks: files with exactly theirs");
        assert!(checked(&[task(1)]).contains("file tasks: all"));
        let mut unlabeled = task(2);
        unlabeled["annotations"] = json!([]);
        assert_eq!(checked(&[task(1), unlabeled]), "file tasks: files with exactly theirs");
    }

    #[test]
    fn quarantine_is_right_only_with_the_right_reason_for_the_right_key() {
        let files = [file("a", Gives::Quarantine("empty")), file("b", Gives::Quarantine("not_utf8"))];
        let row = |key: &str, reason: &str| json!({"key": key, "reason": reason});
        let checked = |rows: &[Value]| {
            let mut checks = Checks::default();
            checks.quarantine(&files, rows);
            off(&checks)
        };
        assert_eq!(checked(&[row("a", "empty"), row("b", "not_utf8")]), "");
        assert_eq!(checked(&[row("b", "empty"), row("b", "not_utf8")]), "quarantine: empty");
        assert!(checked(&[row("a", "empty")]).starts_with("quarantine: files"));
    }

    #[test]
    fn an_exported_object_has_to_say_what_its_annotation_says() {
        let tasks = [json!({"id": 1, "data": {"t": 1}, "annotations": [{"id": 5, "result": [1]}]})];
        let checked = |key: &str, result: Value| {
            let body = json!({"id": 5, "result": result, "task": {"id": 1, "data": {"t": 1}}});
            let mut checks = Checks::default();
            checks.exported(&[(key.to_owned(), body)], &tasks);
            off(&checks)
        };
        assert_eq!(checked("annotations/5.json", json!([1])), "");
        assert_eq!(
            checked("annotations/5.json", json!([2])),
            "export bucket: objects that say what their annotation says"
        );
        assert_eq!(
            checked("annotations/6.json", json!([1])),
            "export bucket: objects that say what their annotation says"
        );
    }

    #[test]
    fn a_missing_counter_is_not_zero() {
        let mut checks = Checks::default();
        let sync = json!({"status": "completed", "counts": {"created": 0}});
        checks.sync("again", &sync, "completed", &[("created", 0), ("existed", 0)]);
        assert_eq!(off(&checks), "again: existed");
    }
}
