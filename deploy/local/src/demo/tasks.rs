//! Task files of every shape, good and bad, each with what an import has to make of it.
//!
//! What is expected is known from how a file is made and not from reading it, so that it cannot
//! share a mistake with the worker's parser.

use std::io::Write;

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// An object of the bucket, and what it gives.
#[derive(Debug)]
pub(super) struct TaskFile {
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
    pub(super) gives: Gives,
}

/// What an import has to make of a file.
#[derive(Debug)]
pub(super) enum Gives {
    Tasks(Vec<Expected>),
    /// Nothing but a row in quarantine, with this reason.
    Quarantine(&'static str),
}

/// One task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expected {
    pub(super) data: Value,
    pub(super) annotations: usize,
    pub(super) predictions: usize,
}

/// What a file is like.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// One object with `data`.
    Data,
    /// One object that is the data.
    Bare,
    /// With an annotation and a prediction.
    Labeled,
    /// A list of three.
    List,
    /// Four lines, an object each.
    Lines,
    /// A list of two, packed.
    Gzip,
    /// A list of none: fine, and no task.
    Nothing,
    /// Cut off in the middle.
    Truncated,
    /// No bytes at all.
    Empty,
    /// Latin-1.
    NotUtf8,
    /// `annotations`, but no `data`.
    MissingData,
    /// A list whose second item is a number.
    WrongType,
}

/// How many files there are of each shape: 500 in all, 35 of them bad.
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

/// Makes the files, the bad ones strewn among the good.
pub(super) fn make() -> Result<Vec<TaskFile>> {
    let shapes = SHAPES.iter().flat_map(|(shape, count)| std::iter::repeat_n(*shape, *count));
    // 7 has no divisor in common with 500, so every number comes up once.
    shapes.enumerate().map(|(index, shape)| file(index * 7 % FILES, shape)).collect()
}

fn file(number: usize, shape: Shape) -> Result<TaskFile> {
    let item = |row: usize| json!({"text": format!("Item {row} of file {number}: ä, 😀"), "file": number, "row": row});
    let task = |data: Value| json!({"data": data, "meta": {"source": "demo"}});
    let tasks = |count: usize| Gives::Tasks((0..count).map(|row| expected(item(row), 0, 0)).collect());
    let list = |count: usize| Value::from_iter((0..count).map(|row| task(item(row))));
    let labels = json!([{"result": [{"from_name": "kind", "to_name": "image", "type": "choices",
                                     "value": {"choices": ["Day"]}}]}]);

    let (extension, bytes, gives) = match shape {
        Shape::Data => ("json", text(&task(item(0))), tasks(1)),
        Shape::Bare => ("json", text(&item(0)), tasks(1)),
        Shape::Labeled => {
            let mut labeled = task(item(0));
            labeled["annotations"] = labels.clone();
            labeled["predictions"] = labels;
            ("json", text(&labeled), Gives::Tasks(vec![expected(item(0), 1, 1)]))
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
            ("json", whole[..whole.len() / 2].to_vec(), Gives::Quarantine("invalid_json"))
        }
        Shape::Empty => ("json", Vec::new(), Gives::Quarantine("empty")),
        Shape::NotUtf8 => ("json", b"{\"text\": \"caf\xe9\"}".to_vec(), Gives::Quarantine("not_utf8")),
        Shape::MissingData => {
            ("json", text(&json!({"text": "lost", "annotations": labels})), Gives::Quarantine("missing_data"))
        }
        Shape::WrongType => ("json", text(&json!([task(item(0)), 42])), Gives::Quarantine("wrong_type")),
    };
    Ok(TaskFile { key: format!("tasks/{number:03}.{extension}"), bytes, gives })
}

fn expected(data: Value, annotations: usize, predictions: usize) -> Expected {
    Expected { data, annotations, predictions }
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn there_are_as_many_files_as_promised_and_no_key_twice() {
        let files = make().unwrap();
        let keys: BTreeSet<_> = files.iter().map(|file| &file.key).collect();
        assert_eq!((files.len(), keys.len()), (FILES, FILES));
        let mut reasons = BTreeMap::new();
        let mut tasks = 0;
        for file in &files {
            match &file.gives {
                Gives::Tasks(items) => tasks += items.len(),
                Gives::Quarantine(reason) => *reasons.entry(*reason).or_insert(0) += 1,
            }
        }
        assert_eq!(tasks, 300 + 40 + 30 + 30 * 3 + 30 * 4 + 30 * 2);
        let bad = [("empty", 8), ("invalid_json", 10), ("missing_data", 6), ("not_utf8", 7), ("wrong_type", 4)];
        assert_eq!(reasons, BTreeMap::from(bad));
    }

    #[test]
    fn a_bad_file_is_bad_in_the_way_it_says() {
        for file in make().unwrap() {
            let text = std::str::from_utf8(&file.bytes);
            match file.gives {
                Gives::Quarantine("not_utf8") => assert!(text.is_err()),
                Gives::Quarantine("empty") => assert!(file.bytes.is_empty()),
                Gives::Quarantine("invalid_json") => {
                    // Half a file may end within a character; then it is not cut off but not UTF-8.
                    assert!(serde_json::from_str::<Value>(text.unwrap()).is_err());
                }
                Gives::Quarantine(_) => assert!(serde_json::from_str::<Value>(text.unwrap()).is_ok()),
                Gives::Tasks(_) => {}
            }
        }
    }
}
