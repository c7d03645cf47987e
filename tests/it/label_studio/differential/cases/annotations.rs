//! Tasks with annotations.

use serde_json::{Value, json};

use super::{CAT, Case, DOG, annotated, stops};

pub(super) fn cases() -> Vec<Case> {
    let one = |name: &str, annotations: &str| Case::new(name).object("a.json", annotated(annotations));
    vec![
        one(
            "annotation-whole",
            &format!(
                r#"[{{"result": [{CAT}], "completed_by": 1, "lead_time": 2.5, "ground_truth": true, "import_id": 77,
                     "unique_id": "$SIDE-0000-4000-8000-000000000001", "last_action": "imported", "id": 5,
                     "created_at": "2020-01-01T00:00:00Z", "draft_created_at": "2021-02-03T04:05:06.5Z",
                     "last_created_by": 1, "unknown": 3}}]"#
            ),
        ),
        one("annotation-bare", &format!(r#"[{{"result": [{CAT}]}}]"#)),
        one("annotation-empty-result", r#"[{"result": []}]"#),
        one("annotation-cancelled", &format!(r#"[{{"result": [{CAT}], "was_cancelled": true}}]"#)),
        one("annotation-cancelled-and-not", r#"[{"result": [], "was_cancelled": true}, {"result": []}]"#),
        one("annotation-no-result", r#"[{"completed_by": 1}]"#),
        one("annotation-regions", &format!(r#"[{{"result": [{CAT}, {CAT}, {DOG}, {{"value": {{"a": 1}}}}, {{"value": {{}}}}]}}]"#))
            .summary("labels", "labels", json!({"label": {"dog": 1}}), json!({"label": {"cat": 2, "dog": 1}})),
        one("annotation-result-text", &format!(r#"[{{"result": {}}}]"#, json!(format!("[{CAT}]")))),
        one("annotation-extras", r#"[{"result": [], "lead_time": 0, "last_action": null, "import_id": null, "ground_truth": false}]"#),
        one("annotation-lead-time-text", r#"[{"result": [], "lead_time": "3.25"}]"#),
        one("annotation-relations", &format!(
            r#"[{{"result": [{CAT}, {DOG}, {{"type": "relation", "from_id": "r1", "to_id": "r2", "direction": "right"}}]}}]"#
        ))
        .summary("labels", "labels", json!({"label": {"dog": 1}}), json!({"label": {"cat": 1, "dog": 1}})),
        one("annotations-and-predictions", &format!(
            r#"[{{"result": [{CAT}]}}], "predictions": [{{"result": [{DOG}], "score": 0.25}}]"#
        )),
        one("annotations-of-one-user", r#"[{"result": [], "completed_by": 1}]"#).project(json!({"maximum_annotations": 2})),
        one("annotations-twice-one-user", r#"[{"result": [], "completed_by": 1}, {"result": [], "completed_by": 1}]"#)
            .project(json!({"maximum_annotations": 2})),
        one("annotations-of-two", r#"[{"result": [], "completed_by": 1}, {"result": []}]"#)
            .project(json!({"maximum_annotations": 2})),
        one("annotations-skipped-count", r#"[{"result": [], "was_cancelled": true}]"#)
            .project(json!({"skip_queue": "IGNORE_SKIPPED"})),
        one("annotations-skipped-requeue", r#"[{"result": [], "was_cancelled": true}]"#)
            .project(json!({"skip_queue": "REQUEUE_FOR_ME"})),
        Case::new("annotations-in-list").object(
            "a.json",
            format!(r#"[{}, {}]"#, annotated(&format!(r#"[{{"result": [{CAT}]}}]"#)), annotated(r#"[{"result": []}]"#)),
        ),
        dropped("unknown-user", r#"[{"result": [], "completed_by": 999}]"#, 1),
        dropped("result-object", r#"[{"result": {}}]"#, 1),
        dropped("one-of-two", r#"[{"result": []}, {"result": [], "completed_by": 999}]"#, 2),
        dropped("unknown-parent", r#"[{"result": [], "parent_prediction": 999999}]"#, 1),
        dropped("null-result", r#"[{"result": null}]"#, 1),
        dropped("null-cancelled", r#"[{"result": [], "was_cancelled": null}]"#, 1),
        dropped("null-ground-truth", r#"[{"result": [], "ground_truth": null}]"#, 1),
        user_as_object(),
        user_by_email("user-by-email", r#"{"email": "a@example.com"}"#),
        user_by_email("user-as-email", r#""a@example.com""#),
        completions(),
        one("region-of-one-member", r#"[{"result": [{"from_name": "label"}, {"value": {}}, {}]}]"#),
        stops("refused-object", "unique-id-number", "a.json", annotated(r#"[{"result": [], "unique_id": 5}]"#)),
        stops("refused-object", "annotation-result-blank", "a.json", annotated(r#"[{"result": ""}]"#)),
        stops("refused-object", "annotation-result-broken", "a.json", annotated(r#"[{"result": "["}]"#)),
        Case::new("labels-in-data")
            .object("a.json", r#"{"data": null, "annotations": [{"result": []}]}"#)
            .object("b.json", r#"{"data": "s3://x/1.jpg", "annotations": [{"result": []}], "predictions": [{"result": []}]}"#)
            .object("c.json", r#"{"data": ["i"], "predictions": [{"result": []}], "k": 1}"#),
        stops("refused-object", "unique-id-text", "a.json", annotated(r#"[{"result": [], "unique_id": "not a UUID"}]"#)),
        stops(
            "refused-object",
            "region-without-value",
            "a.json",
            annotated(r#"[{"result": [{"from_name": "label", "to_name": "image", "type": "choices"}]}]"#),
        ),
        stops("refused-object", "region-number", "a.json", annotated(r#"[{"result": [5]}]"#)),
        stops("refused-object", "annotation-number", "a.json", annotated("[5]")),
        doubled_unique_id(),
    ]
}

/// Label Studio's row of a task whose annotations it dropped still counts them, so that the task looks labeled.
fn dropped(name: &str, annotations: &str, count: usize) -> Case {
    let entry = "dropped-annotations";
    let theirs = json!({"data": {"image": "s3://x/1.jpg"}, "is_labeled": true, "total_annotations": count});
    Case::new(&format!("dropped-{name}"))
        .object("a.json", annotated(annotations))
        .ends(
            entry,
            ["completed, 1 new, 0 existed, attempt 1", &super::with_errors(0)],
            ["completed, 0 new, 1 existed, attempt 2", "completed, 0 new, 0 existed, attempt 2, traceback"],
        )
        .task(entry, "a.json", theirs, json!(null))
        .summary(entry, "columns", json!({"image": 1}), json!({}))
        .summary(entry, "common", json!(["image"]), json!([]))
}

/// Labels of a file from before Label Studio 1.0.
fn completions() -> Case {
    let entry = "completions";
    let result: Value = serde_json::from_str(&format!("[{CAT}]")).expect("JSON");
    let ours = json!({"data": {"image": "s3://x/1.jpg"}, "is_labeled": true, "total_annotations": 1, "updated_by_id": 1,
        "annotations": [{"result": result, "result_count": 1, "updated_by_id": 1}]});
    Case::new(entry)
        .object("a.json", annotated(&format!(r#"[], "completions": [{{"result": [{CAT}]}}]"#)))
        .task(entry, "a.json", super::task(), ours)
        .summary(entry, "annotations", json!({}), json!({"label|image|choices": 1}))
        .summary(entry, "labels", json!({}), json!({"label": {"cat": 1}}))
}

/// As Label Studio's own exports give it.
fn user_as_object() -> Case {
    let entry = "user-as-object";
    let theirs = json!({"data": {"image": "s3://x/1.jpg"}, "is_labeled": true, "total_annotations": 1});
    let ours = json!({"data": {"image": "s3://x/1.jpg"}, "is_labeled": true, "total_annotations": 1, "updated_by_id": 1,
        "annotations": [{"result": [], "completed_by_id": 1, "updated_by_id": 1}]});
    Case::new("user-as-object")
        .object("a.json", annotated(r#"[{"result": [], "completed_by": {"id": 1, "email": "a@example.com"}}]"#))
        .task(entry, "a.json", theirs, ours)
}

/// As exports of other hosts name annotators.
fn user_by_email(name: &str, user: &str) -> Case {
    let entry = "user-by-email";
    let theirs = json!({"data": {"image": "s3://x/1.jpg"}, "is_labeled": true, "total_annotations": 1});
    let ours = json!({"data": {"image": "s3://x/1.jpg"}, "is_labeled": true, "total_annotations": 1, "updated_by_id": 1,
        "annotations": [{"result": [], "updated_by_id": 1}]});
    Case::new(name)
        .object("a.json", annotated(&format!(r#"[{{"result": [], "completed_by": {user}}}]"#)))
        .task(entry, "a.json", theirs, ours)
}

fn doubled_unique_id() -> Case {
    let entry = "refused-object";
    let id = r#"[{"result": [], "unique_id": "$SIDE-0000-4000-8000-000000000002"}]"#;
    Case::new("doubled-unique-id")
        .object("a.json", annotated(id))
        .object("b.json", annotated(id))
        .object("z.json", super::TASK)
        .ends(
            entry,
            [super::FAILED, &super::with_errors(2)],
            [
                "failed, null new, none existed, attempt 2, traceback, no time",
                "completed, 0 new, 2 existed, attempt 2, traceback",
            ],
        )
        .task(entry, "z.json", json!(null), super::task())
        .summary(entry, "columns", json!({"image": 1}), json!({"image": 2}))
}
