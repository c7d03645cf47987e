//! Tasks with annotations.

use serde_json::{Value, json};

use super::{CAT, Case, DOG, annotated, empty_annotation, stops, with_annotations};

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
        dropped("result-object", r#"[{"result": {}}]"#, 1),
        left_out("unknown-user", r#"[{"result": [], "completed_by": 999}]"#, json!([empty_annotation()])),
        left_out(
            "one-of-two",
            r#"[{"result": []}, {"result": [], "completed_by": 999}]"#,
            json!([empty_annotation(), empty_annotation()]),
        ),
        left_out("unknown-parent", r#"[{"result": [], "parent_prediction": 999999}]"#, json!([empty_annotation()])),
        left_out("null-cancelled", r#"[{"result": [], "was_cancelled": null}]"#, json!([empty_annotation()])),
        left_out("null-ground-truth", r#"[{"result": [], "ground_truth": null}]"#, json!([empty_annotation()])),
        null_result(),
        annotator("user-as-object", "user-as-object", r#"{"id": 1}"#, Some(1)),
        annotator("user-by-email", "user-by-email", r#"{"email": "annotator@example.com"}"#, Some(1)),
        annotator("user-by-email", "user-as-email", r#"" Annotator@example.com""#, Some(1)),
        annotator("user-by-email", "user-of-another-id", r#"{"id": 9, "email": "annotator@example.com"}"#, Some(1)),
        annotator("user-by-email", "user-unknown", r#"{"id": 1, "email": "a@example.com"}"#, None),
        completions(),
        one("region-of-one-member", r#"[{"result": [{"from_name": "label"}, {"value": {}}, {}]}]"#),
        understood("unique-id-number", r#"[{"result": [], "unique_id": 5}]"#),
        understood("unique-id-text", r#"[{"result": [], "unique_id": "not a UUID"}]"#),
        form("annotations-object", r#"{"result": []}"#, with_annotations(&json!([empty_annotation()]))),
        form("annotations-by-name", r#"{"5": {"result": []}}"#, with_annotations(&json!([empty_annotation()]))),
        form("annotations-text", r#""[{\"result\": []}]""#, with_annotations(&json!([empty_annotation()]))),
        form("annotation-number", "[5]", super::task()),
        exported(),
        stops("refused-object", "annotation-result-blank", "a.json", annotated(r#"[{"result": ""}]"#)),
        stops("refused-object", "annotation-result-broken", "a.json", annotated(r#"[{"result": "["}]"#)),
        Case::new("labels-in-data")
            .object("a.json", r#"{"data": null, "annotations": [{"result": []}]}"#)
            .object("b.json", r#"{"data": "s3://x/1.jpg", "annotations": [{"result": []}], "predictions": [{"result": []}]}"#)
            .object("c.json", r#"{"data": ["i"], "predictions": [{"result": []}], "k": 1}"#),
        stops(
            "refused-object",
            "region-without-value",
            "a.json",
            annotated(r#"[{"result": [{"from_name": "label", "to_name": "image", "type": "choices"}]}]"#),
        ),
        stops("refused-object", "region-number", "a.json", annotated(r#"[{"result": [5]}]"#)),
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
    let ours = with_annotations(&json!([{"result": result, "result_count": 1, "updated_by_id": 1}]));
    Case::new(entry)
        .object("a.json", annotated(&format!(r#"[], "completions": [{{"result": [{CAT}]}}]"#)))
        .task(entry, "a.json", super::task(), ours)
        .summary(entry, "annotations", json!({}), json!({"label|image|choices": 1}))
        .summary(entry, "labels", json!({}), json!({"label": {"cat": 1}}))
}

/// Label Studio drops all annotations of the task and counts them. Longshore leaves out the value alone.
fn left_out(name: &str, annotations: &str, ours: Value) -> Case {
    let entry = "ignored-values";
    let count = ours.as_array().map_or(0, Vec::len);
    let theirs = json!({"data": {"image": "s3://x/1.jpg"}, "is_labeled": true, "total_annotations": count});
    Case::new(&format!("ignored-{name}")).object("a.json", annotated(annotations)).task(
        entry,
        "a.json",
        theirs,
        with_annotations(&ours),
    )
}

/// A null is as good as nothing: an annotation without a result, which does not make its task labeled.
fn null_result() -> Case {
    let entry = "null-as-missing";
    let theirs = json!({"data": {"image": "s3://x/1.jpg"}, "is_labeled": true, "total_annotations": 1});
    Case::new("null-result").object("a.json", annotated(r#"[{"result": null}]"#)).task(
        entry,
        "a.json",
        theirs,
        super::labeled("annotations", &json!([{"updated_by_id": 1}]), json!({})),
    )
}

/// An annotator as exports give it.
fn annotator(entry: &'static str, name: &str, user: &str, id: Option<i32>) -> Case {
    let theirs = json!({"data": {"image": "s3://x/1.jpg"}, "is_labeled": true, "total_annotations": 1});
    let mut annotation = empty_annotation();
    if let Some(id) = id {
        annotation["completed_by_id"] = id.into();
    }
    Case::new(name).object("a.json", annotated(&format!(r#"[{{"result": [], "completed_by": {user}}}]"#))).task(
        entry,
        "a.json",
        theirs,
        with_annotations(&json!([annotation])),
    )
}

/// A value at which Label Studio's sync stops.
fn understood(name: &str, annotations: &str) -> Case {
    let ours = with_annotations(&json!([empty_annotation()]));
    super::understood("ignored-values", name, "a.json", annotated(annotations), ours)
}

/// Annotations in another form than a list of objects.
fn form(name: &str, annotations: &str, ours: Value) -> Case {
    super::understood("forms-of-labels", name, "a.json", annotated(annotations), ours)
}

/// An object of a target storage.
fn exported() -> Case {
    let entry = "exported-annotation";
    let object = json!({"id": 5, "result": [], "completed_by": {"id": 9, "email": "annotator@example.com"},
        "task": {"id": 7, "data": {"image": "s3://x/1.jpg"}, "meta": {}}});
    let theirs = json!({"data": object});
    let ours = with_annotations(&json!([{"result": [], "updated_by_id": 1, "completed_by_id": 1}]));
    Case::new(entry)
        .object("a.json", object.to_string())
        .task(entry, "a.json", theirs, ours)
        .summary(entry, "columns", json!({"completed_by": 1, "id": 1, "result": 1, "task": 1}), json!({"image": 1}))
        .summary(entry, "common", json!(["completed_by", "id", "result", "task"]), json!(["image"]))
}

fn doubled_unique_id() -> Case {
    let entry = "ignored-values";
    let id = r#"[{"result": [], "unique_id": "$SIDE-0000-4000-8000-000000000002"}]"#;
    Case::new("doubled-unique-id")
        .object("a.json", annotated(id))
        .object("b.json", annotated(id))
        .object("z.json", super::TASK)
        .ends(
            entry,
            [super::FAILED, "completed, 3 new, 0 existed, attempt 1"],
            ["failed, null new, none existed, attempt 2, traceback, no time", "completed, 0 new, 3 existed, attempt 2"],
        )
        .task(entry, "b.json", json!(null), with_annotations(&json!([empty_annotation()])))
        .task(entry, "z.json", json!(null), super::task())
        .summary(entry, "columns", json!({"image": 1}), json!({"image": 3}))
}
