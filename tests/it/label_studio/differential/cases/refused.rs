//! Objects that cannot be imported. Label Studio's sync stops at them; Longshore quarantines them and goes on.

use serde_json::{Value, json};

use super::{Case, TASK, stops, task};

const ENTRY: &str = "refused-object";

pub(super) fn cases() -> Vec<Case> {
    let nested = format!(r#"{{"data": {{"n": {}{}}}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    let alone: Vec<(&str, &str, Vec<u8>)> = vec![
        ("empty", "a.json", Vec::new()),
        ("blanks", "a.json", b" \n\t ".to_vec()),
        ("number", "a.json", b"42".to_vec()),
        ("text", "a.json", b"\"abc\"".to_vec()),
        ("null", "a.json", b"null".to_vec()),
        ("cut-off", "a.json", br#"{"data": {"image": "i""#.to_vec()),
        ("trailing-comma", "a.json", br#"{"data": {"image": "i"},}"#.to_vec()),
        ("latin-1", "a.json", b"{\"data\": {\"image\": \"\xfc\"}}".to_vec()),
        ("nul", "a.json", br#"{"data": {"image": "a\u0000b"}}"#.to_vec()),
        ("lone-surrogate", "a.json", br#"{"data": {"image": "\ud800"}}"#.to_vec()),
        ("nan", "a.json", br#"{"data": {"image": "i", "n": NaN}}"#.to_vec()),
        ("infinite", "a.json", br#"{"data": {"image": "i", "n": 1e400}}"#.to_vec()),
        ("huge", "a.json", br#"{"data": {"image": "i", "n": 1e5000}}"#.to_vec()),
        ("nested", "a.json", nested.into_bytes()),
        ("html", "a.json", b"<html></html>".to_vec()),
        ("txt", "a.txt", b"x".to_vec()),
        ("csv", "a.csv", b"image\ni\n".to_vec()),
        ("parquet", "a.parquet", b"PAR1".to_vec()),
        ("list-of-number", "a.json", b"[5]".to_vec()),
        ("list-of-null", "a.json", b"[null]".to_vec()),
        ("predictions-no-data", "a.json", br#"{"image": "i", "predictions": [{"result": []}]}"#.to_vec()),
        ("annotations-no-data", "a.json", br#"{"image": "i", "annotations": [{"result": []}]}"#.to_vec()),
    ];
    let mut cases: Vec<Case> =
        alone.into_iter().map(|(name, key, content)| stops(ENTRY, &format!("refused-{name}"), key, content)).collect();
    cases.extend([
        partly("list-with-number", "a.json", r#"[{"image": "1"}, 5, {"image": "3"}]"#, &["1"]),
        partly("list-cut-off", "a.json", r#"[{"image": "1"}, {"image": "2"}"#, &["1", "2"]),
        partly("bad-line", "a.jsonl", "{\"image\": \"1\"}\n{\"image\"\n{\"image\": \"3\"}\n", &["1"]),
        partly("line-with-number", "a.jsonl", "{\"image\": \"1\"}\n5\n", &["1"]),
        utf_16(),
        Case::new("refused-last").object("a.json", TASK).object("z.json", "{").ends(
            ENTRY,
            [super::FAILED, &super::with_errors(1)],
            [super::FAILED_AGAIN, super::WITH_ERRORS_AGAIN],
        ),
    ]);
    cases
}

/// Without a byte order mark, Python's parser of JSON guesses the encoding.
fn utf_16() -> Case {
    let entry = "utf-16";
    let content: Vec<u8> = TASK.encode_utf16().flat_map(u16::to_le_bytes).collect();
    Case::new("utf-16")
        .object("a.json", content)
        .object("z.json", TASK)
        .ends(
            entry,
            ["completed, 2 new, 0 existed, attempt 1", &super::with_errors(1)],
            ["completed, 0 new, 2 existed, attempt 2", super::WITH_ERRORS_AGAIN],
        )
        .task(entry, "a.json", task(), Value::Null)
        .summary(entry, "columns", json!({"image": 2}), json!({"image": 1}))
}

/// An object of which Label Studio imports the first items. It takes the object for known then, so its next sync goes on
/// behind it.
fn partly(name: &str, key: &str, content: &str, imported: &[&str]) -> Case {
    let name = format!("partly-{name}");
    let entry = "partly-imported";
    let existed = imported.len();
    let case = Case::new(&name)
        .object(key, content)
        .object("z.json", TASK)
        .ends(
            entry,
            [super::FAILED, &super::with_errors(1)],
            [&format!("completed, 1 new, {existed} existed, attempt 2, traceback"), super::WITH_ERRORS_AGAIN],
        )
        .differs(entry, "1 task z.json", Value::Null, task())
        .summary(entry, "columns", json!({"image": existed + 1}), json!({"image": 1}));
    (0..).zip(imported).fold(case, |case, (index, image): (usize, _)| {
        case.task(entry, &format!("{key}[{index}]"), json!({"data": {"image": image}}), Value::Null)
    })
}
