//! What a readable object becomes: one task, several tasks, and which members of an object count.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{Case, TASK, task};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("deep-data").object(
            "a.json",
            r#"{"data": {"image": "s3://x/1.jpg", "n": {"deep": [null, true, false, 1, [], {}], "ü": "日本", "": "no name"},
                "text": "\"quoted\" \\ \u00e9 \n end", "empty": ""}}"#,
        ),
        Case::new("numbers").object(
            "a.json",
            r#"{"data": {"image": "i", "a": 1.10, "b": 1e2, "c": 0.1234567890123456789, "d": -0.0, "e": 12345678901234567890123,
                "f": 1E-7, "g": 9007199254740993, "h": -5}}"#,
        ),
        Case::new("numbers-in-list").object("a.json", r#"[{"a": 1.10, "b": 1e2, "c": 3, "d": 9007199254740993}]"#),
        stops_at_big_number(),
        Case::new("no-data").object("a.json", r#"{"image": "no data", "n": 1}"#),
        Case::new("data-is-text").object("a.json", r#"{"data": "text", "k": 1}"#),
        Case::new("data-is-null").object("a.json", r#"{"data": null, "k": 1}"#),
        Case::new("data-is-list").object("a.json", r#"{"data": [1, 2], "k": 1}"#),
        Case::new("data-is-empty").object("a.json", r#"{"data": {}}"#).object("b.json", "{}"),
        Case::new("data-of-data").object("a.json", r#"{"data": {"data": {"image": "i"}}}"#),
        Case::new("other-members").object(
            "a.json",
            r#"{"data": {"image": "i"}, "id": 7, "inner_id": 9, "meta": {"a": 1}, "overlap": 5, "is_labeled": true,
                "created_at": "2020-01-01T00:00:00Z", "drafts": [{}], "comment_count": 3, "project": 99,
                "total_annotations": 8, "file_upload": 4, "updated_by": 1, "unknown": null}"#,
        ),
        Case::new("undefined-key").object("a.json", r#"{"data": {"$undefined$": "s3://x/1.jpg"}}"#),
        Case::new("double-key").object("a.json", r#"{"data": {"image": "first", "image": "second"}}"#),
        Case::new("allow-skip-null").object("a.json", r#"{"data": {"image": "i"}, "allow_skip": null}"#),
        Case::new("allow-skip-false")
            .object("a.json", r#"{"data": {"image": "i"}, "allow_skip": false}"#)
            .object("b.json", r#"{"image": "i", "allow_skip": false}"#)
            .object("c.json", r#"{"data": {"image": "i"}, "allow_skip": true}"#)
            .object("d.json", r#"[{"data": {"image": "i"}, "allow_skip": false}, {"image": "j", "allow_skip": null}]"#),
        allow_skip_forms(),
        accepted("ignored-values", "allow-skip-text", "a.json", r#"{"data": {"image": "s3://x/1.jpg"}, "allow_skip": "no way"}"#),
        Case::new("list-of-three")
            .object("a.json", r#"[{"image": "a"}, {"data": {"image": "b"}}, {"image": "c"}]"#)
            .object("b.json", "[]")
            .object("c.json", " \n\t [ {\"image\": \"d\"} ]\n ")
            .object("d.json", TASK),
        Case::new("list-of-one").object("a.json", r#"[{"image": "one"}]"#),
        Case::new("json-lines")
            .object("a.jsonl", "{\"image\": \"x\"}\n\n{\"data\": {\"image\": \"y\"}}\r\n  \n{\"image\": \"z\"}")
            .object("b.json", "{\"image\": \"p\"}\n{\"image\": \"q\"}\n"),
        Case::new("json-lines-of-one").object("a.jsonl", "{\"image\": \"x\"}\n"),
        Case::new("lines-over-several").object("a.jsonl", "{\"image\":\n \"x\"}\n"),
        Case::new("names-of-json")
            .object("UPPER.JSON", TASK)
            .object("no-extension", TASK)
            .object("two.dots.json", TASK)
            .object(".json", TASK)
            .object("lines.JSONL", TASK),
        Case::new("annotations-null")
            .object("a.json", r#"{"data": {"image": "i"}, "annotations": null, "predictions": []}"#)
            .object("b.json", r#"{"data": {"image": "i"}, "annotations": 0, "predictions": -0.0}"#)
            .object("c.json", r#"{"image": "i", "annotations": "", "predictions": { }}"#),
        gzipped(),
        accepted("names", "name-of-no-format", "a.2024", TASK),
        accepted("gzip", "gzip-name-of-plain", "a.json.gz", TASK),
        in_a_row("values-in-a-row", "{\"image\":\n\"1\"}{\"image\": \"2\"}", 0, &["1", "2"]),
        in_a_row("values-with-commas", "{\"image\": \"1\"},\n{\"image\": \"2\"},\n", 0, &["1", "2"]),
        in_a_row("list-with-a-comma-at-its-end", "[{\"image\": \"1\"}, {\"image\": \"2\"},]", 2, &["1", "2"]),
        in_a_row("line-with-list", "{\"image\": \"1\"}\n[{\"image\": \"2\"}]\n", 1, &["1", "2"]),
        byte_order_mark(),
    ]
}

/// Label Studio's parser of lists ends at 64 bits.
fn stops_at_big_number() -> Case {
    let entry = "big-number";
    let kept = json!({"data": {"n": 1e29}});
    Case::new("big-number-in-list")
        .object("a.json", r#"[{"n": 100000000000000000000000000000}]"#)
        .object("z.json", TASK)
        .ends(
            entry,
            [super::FAILED, "completed, 2 new, 0 existed, attempt 1"],
            [super::FAILED_AGAIN, "completed, 0 new, 2 existed, attempt 2"],
        )
        .task(entry, "a.json[0]", Value::Null, kept)
        .task(entry, "z.json", Value::Null, task())
        .summary(entry, "columns", json!({}), json!({"image": 1, "n": 1}))
}

/// What Django takes for true, false and null.
fn allow_skip_forms() -> Case {
    let values = [
        "1",
        "0",
        "1.0",
        "-0.0",
        r#""t""#,
        r#""True""#,
        r#""1""#,
        r#""f""#,
        r#""False""#,
        r#""0""#,
        r#""""#,
        "[]",
        "{}",
    ];
    values.iter().enumerate().fold(Case::new("allow-skip-forms"), |case, (number, value)| {
        case.object(&format!("{number:02}.json"), format!(r#"{{"data": {{"image": "i"}}, "allow_skip": {value}}}"#))
    })
}

/// Objects and lists in a row, of which Label Studio reads the first `read` items: it takes the object for known then, so
/// its next sync goes on behind it.
fn in_a_row(name: &str, content: &str, read: usize, images: &[&str]) -> Case {
    let entry = "values-in-a-row";
    let (all, key) = (images.len() + 1, "a.jsonl");
    let next = format!("completed, 1 new, {read} existed, attempt 2, traceback");
    let case = Case::new(name)
        .object(key, content)
        .object("z.json", TASK)
        .ends(
            entry,
            [super::FAILED, &format!("completed, {all} new, 0 existed, attempt 1")],
            [
                if read == 0 { super::FAILED_AGAIN } else { &next },
                &format!("completed, 0 new, {all} existed, attempt 2"),
            ],
        )
        .differs(entry, "1 task z.json", Value::Null, task());
    let case = if read == 0 {
        case.differs(entry, "2 task z.json", Value::Null, task())
            .summary(entry, "columns", json!({}), json!({"image": all}))
            .summary(entry, "common", json!([]), json!(["image"]))
    } else {
        case.summary(entry, "columns", json!({"image": read + 1}), json!({"image": all}))
    };
    (0..).zip(images).skip(read).fold(case, |case, (index, image): (usize, _)| {
        case.task(entry, &format!("{key}[{index}]"), Value::Null, json!({"data": {"image": image}}))
    })
}

fn gzipped() -> Case {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(TASK.as_bytes()).expect("bytes");
    accepted("gzip", "gzip", "a.json.gz", encoder.finish().expect("bytes"))
}

fn byte_order_mark() -> Case {
    accepted("byte-order-mark", "byte-order-mark", "a.json", format!("\u{feff}{TASK}"))
}

/// An object that only Longshore can read, then another one.
fn accepted(entry: &'static str, name: &str, key: &str, content: impl AsRef<[u8]>) -> Case {
    super::understood(entry, name, key, content, task())
}
