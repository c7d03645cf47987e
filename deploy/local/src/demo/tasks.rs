//! Task files of every shape, valid and invalid, each with the expected result of its import.
//!
//! The expected result comes from how a file is made, not from parsing it, so it cannot share a mistake with the
//! worker's parser.

use std::io::Write;

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// An object of the bucket and its expected import.
#[derive(Debug)]
pub(super) struct TaskFile {
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
    pub(super) expected: ExpectedResult,
}

/// What the import of a file must create.
#[derive(Debug)]
pub(super) enum ExpectedResult {
    Tasks(Vec<ExpectedTask>),
    /// No task, but one row in quarantine with this reason.
    Quarantine(&'static str),
}

/// An expected task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ExpectedTask {
    pub(super) data: Value,
    pub(super) annotations: usize,
    pub(super) predictions: usize,
}

/// The content of a file.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// One JSON object with `data`.
    Data,
    /// One JSON object that is the data itself.
    Bare,
    /// One JSON object with `data`, an annotation and a prediction.
    Labeled,
    /// A list of three tasks.
    List,
    /// Four lines with one JSON object each.
    Lines,
    /// A list of two tasks, gzipped.
    Gzip,
    /// An empty list: valid, without tasks.
    Nothing,
    /// Cut off in the middle.
    Truncated,
    /// A file without content.
    Empty,
    /// A Latin-1 file.
    NotUtf8,
    /// `annotations` without `data`.
    MissingData,
    /// A list with a number as its second item.
    WrongType,
}

/// Number of files of each shape: 500 in total, 35 of them invalid.
const SHAPES: [(Shape, usize); 12] = [
    (Shape::Data, 300),
    (Shape::Bare, 40),
    (Shape::Labeled, 30),
    (Shape::List, 30),
    (Shape::Lines, 30),
    (Shape::Gzip, 30),
    (Shape::Nothing, 5),
    (Shape::Truncated, 10),
    (Shape::Empty, 8),
    (Shape::NotUtf8, 7),
    (Shape::MissingData, 6),
    (Shape::WrongType, 4),
];

/// The number of files.
pub(super) const FILES: usize = 500;

/// Makes the files. Invalid files are spread among the valid ones.
pub(super) fn make() -> Result<Vec<TaskFile>> {
    let shapes = SHAPES.iter().flat_map(|(shape, count)| std::iter::repeat_n(*shape, *count));
    // 7 and 500 have no common divisor, so every number comes once.
    shapes.enumerate().map(|(index, shape)| file(index * 7 % FILES, shape)).collect()
}

fn file(number: usize, shape: Shape) -> Result<TaskFile> {
    let item = |row: usize| json!({"text": format!("Item {row} of file {number}: ä, 😀"), "file": number, "row": row});
    let task = |data: Value| json!({"data": data, "meta": {"source": "demo"}});
    let tasks = |count: usize| ExpectedResult::Tasks((0..count).map(|row| expected(item(row), 0, 0)).collect());
    let list = |count: usize| Value::from_iter((0..count).map(|row| task(item(row))));
    let labels = json!([{"result": [{"from_name": "kind", "to_name": "image", "type": "choices",
                                     "value": {"choices": ["Day"]}}]}]);

    let (extension, bytes, expected) = match shape {
        Shape::Data => ("json", text(&task(item(0))), tasks(1)),
        Shape::Bare => ("json", text(&item(0)), tasks(1)),
        Shape::Labeled => {
            let mut labeled = task(item(0));
            labeled["annotations"] = labels.clone();
            labeled["predictions"] = labels;
            ("json", text(&labeled), ExpectedResult::Tasks(vec![expected(item(0), 1, 1)]))
        }
        Shape::List => ("json", text(&list(3)), tasks(3)),
        Shape::Lines => {
            let lines: String = (0..4).map(|row| format!("{}\n", task(item(row)))).collect();
            ("jsonl", lines.into_bytes(), tasks(4))
        }
        Shape::Gzip => {
            let mut packed = GzEncoder::new(Vec::new(), Compression::default());
            packed.write_all(&text(&list(2)))?;
            ("json.gz", packed.finish()?, tasks(2))
        }
        Shape::Nothing => ("json", b"[]".to_vec(), tasks(0)),
        Shape::Truncated => {
            let whole = text(&task(item(0)));
            ("json", whole[..whole.len() / 2].to_vec(), ExpectedResult::Quarantine("invalid_json"))
        }
        Shape::Empty => ("json", Vec::new(), ExpectedResult::Quarantine("empty")),
        Shape::NotUtf8 => ("json", b"{\"text\": \"caf\xe9\"}".to_vec(), ExpectedResult::Quarantine("not_utf8")),
        Shape::MissingData => {
            ("json", text(&json!({"text": "lost", "annotations": labels})), ExpectedResult::Quarantine("missing_data"))
        }
        Shape::WrongType => ("json", text(&json!([task(item(0)), 42])), ExpectedResult::Quarantine("wrong_type")),
    };
    Ok(TaskFile { key: format!("tasks/{number:03}.{extension}"), bytes, expected })
}

fn expected(data: Value, annotations: usize, predictions: usize) -> ExpectedTask {
    ExpectedTask { data, annotations, predictions }
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn the_number_of_files_of_each_shape_is_as_declared_and_keys_are_unique() {
        let files = make().unwrap();
        let keys: BTreeSet<_> = files.iter().map(|file| &file.key).collect();
        assert_eq!((files.len(), keys.len()), (FILES, FILES));
        let mut reasons = BTreeMap::new();
        let mut tasks = 0;
        for file in &files {
            match &file.expected {
                ExpectedResult::Tasks(items) => tasks += items.len(),
                ExpectedResult::Quarantine(reason) => *reasons.entry(*reason).or_insert(0) += 1,
            }
        }
        assert_eq!(tasks, 300 + 40 + 30 + 30 * 3 + 30 * 4 + 30 * 2);
        let bad = [("empty", 8), ("invalid_json", 10), ("missing_data", 6), ("not_utf8", 7), ("wrong_type", 4)];
        assert_eq!(reasons, BTreeMap::from(bad));
    }

    #[test]
    fn an_invalid_file_is_invalid_for_its_expected_reason() {
        for file in make().unwrap() {
            let text = std::str::from_utf8(&file.bytes);
            match file.expected {
                ExpectedResult::Quarantine("not_utf8") => assert!(text.is_err()),
                ExpectedResult::Quarantine("empty") => assert!(file.bytes.is_empty()),
                ExpectedResult::Quarantine("invalid_json") => {
                    // A file cut inside a character would be `not_utf8` instead.
                    assert!(serde_json::from_str::<Value>(text.unwrap()).is_err());
                }
                ExpectedResult::Quarantine(_) => assert!(serde_json::from_str::<Value>(text.unwrap()).is_ok()),
                ExpectedResult::Tasks(_) => {}
            }
        }
    }
}
