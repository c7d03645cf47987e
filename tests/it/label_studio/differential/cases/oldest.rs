//! Files that the oldest supported Label Studio reads in another way than the newest.

use serde_json::{Value, json};

use super::{Case, TASK, task};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("json-lines-without-blanks")
            .object("a.jsonl", "{\"image\": \"x\"}\n{\"data\": {\"image\": \"y\"}}\r\n{\"image\": \"z\"}")
            .object("b.json", "{\"image\": \"p\"}\n{\"image\": \"q\"}\n"),
        blank_lines(),
        twice_by_one_user(),
    ]
}

/// Label Studio 1.23 counts users, too.
fn twice_by_one_user() -> Case {
    let entry = "labeled-by-one-user";
    let annotation = json!({"completed_by_id": 1.0, "result": [], "updated_by_id": 1.0});
    let ours = json!({"annotations": [annotation, annotation], "data": {"image": "i"}, "overlap": 2.0, "total_annotations": 2.0,
        "updated_by_id": 1.0});
    let mut theirs = ours.clone();
    theirs["is_labeled"] = true.into();
    Case::new(entry)
        .object(
            "a.json",
            r#"{"data": {"image": "i"}, "annotations": [{"result": [], "completed_by": 1}, {"result": [], "completed_by": 1}]}"#,
        )
        .project(json!({"maximum_annotations": 2}))
        .task(entry, "a.json", theirs, ours)
}

/// Label Studio 1.23 skips blank lines, too.
fn blank_lines() -> Case {
    let entry = "blank-lines";
    let image = |name: &str| json!({"data": {"image": name}});
    Case::new(entry)
        .object("a.jsonl", "{\"image\": \"x\"}\n\n{\"image\": \"y\"}\n")
        .object("z.json", TASK)
        .ends(
            entry,
            [super::FAILED, "completed, 3 new, 0 existed, attempt 1"],
            [super::FAILED_AGAIN, "completed, 0 new, 3 existed, attempt 2"],
        )
        .task(entry, "a.jsonl[0]", Value::Null, image("x"))
        .task(entry, "a.jsonl[1]", Value::Null, image("y"))
        .task(entry, "z.json", Value::Null, task())
        .summary(entry, "columns", json!({}), json!({"image": 3}))
        .summary(entry, "common", json!([]), json!(["image"]))
}
