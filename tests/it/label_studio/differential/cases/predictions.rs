//! Tasks with predictions.

use serde_json::{Value, json};

use super::{CAT, Case, DOG, TASK, predicted, with_predictions};

pub(super) fn cases() -> Vec<Case> {
    let one = |name: &str, predictions: &str| Case::new(name).object("a.json", predicted(predictions));
    vec![
        one(
            "predictions-three",
            &format!(
                r#"[{{"result": [{CAT}], "score": 0.5, "model_version": "v1"}}, {{"result": [{DOG}], "score": 1}},
                    {{"result": [{CAT}], "model_version": ""}}]"#
            ),
        ),
        one(
            "prediction-whole",
            &format!(
                r#"[{{"result": [{CAT}], "score": 0.75, "model_version": "v2", "cluster": 3, "neighbors": [1, 2],
                 "mislabeling": 0.5, "id": 9, "created_at": "2020-01-01T00:00:00Z", "unknown": 1}}]"#
            ),
        ),
        one("prediction-version-number", r#"[{"result": [], "model_version": 3}]"#),
        one("prediction-score-text", r#"[{"result": [], "score": "0.5"}]"#),
        one("prediction-empty-result", r#"[{"result": []}]"#),
        one("prediction-null-score", r#"[{"result": [], "score": null}]"#),
        one("prediction-result-text", r#"[{"result": "cat"}]"#),
        one("prediction-result-object", r#"[{"result": {"choices": ["dog"]}}]"#),
        one("prediction-result-number", r#"[{"result": 7}]"#),
        one("prediction-result-rating", r#"[{"result": 4}]"#)
            .config(r#"<View><Image name="image" value="$image"/><Rating name="stars" toName="image"/></View>"#),
        one("prediction-result-textarea", r#"[{"result": "a caption"}]"#)
            .config(r#"<View><Image name="image" value="$image"/><TextArea name="caption" toName="image"/></View>"#),
        one("prediction-region", r#"[{"result": [{"from_name": "label"}]}]"#),
        Case::new("predictions-in-list")
            .object("a.jsonl", format!("{}\n{}\n", predicted(&format!(r#"[{{"result": [{CAT}]}}]"#)), predicted("[]"))),
        left_out("without-result", r#"[{"score": 0.5}]"#, 1, super::task()),
        left_out("score-word", r#"[{"result": [], "score": "high"}]"#, 1, with_predictions(&json!([{"result": []}]))),
        left_out(
            "mislabeling-null",
            r#"[{"result": [], "mislabeling": null}]"#,
            1,
            with_predictions(&json!([{"result": []}])),
        ),
        left_out(
            "version-null",
            r#"[{"result": [], "model_version": null}]"#,
            1,
            with_predictions(&json!([{"result": []}])),
        ),
        left_out("one-of-two", r#"[{"result": []}, {"score": 1}]"#, 2, with_predictions(&json!([{"result": []}]))),
        invalid("list-of-number", r#"[{"result": [5]}]"#),
        invalid("float", r#"[{"result": 1.5}]"#),
        known_quarantine(),
        form("predictions-object", r#"{"result": []}"#, with_predictions(&json!([{"result": []}]))),
        form("predictions-text", r#""[{\"result\": []}]""#, with_predictions(&json!([{"result": []}]))),
        form("prediction-numbers", "[5, 6]", super::task()),
    ]
}

/// Label Studio's row of a task whose predictions it dropped still counts them. Longshore leaves out the value, or the
/// prediction if its result is missing.
fn left_out(name: &str, predictions: &str, count: usize, ours: Value) -> Case {
    let theirs = json!({"data": {"image": "s3://x/1.jpg"}, "total_predictions": count});
    Case::new(&format!("ignored-prediction-{name}")).object("a.json", predicted(predictions)).task(
        "ignored-values",
        "a.json",
        theirs,
        ours,
    )
}

/// Label Studio leaves out the task alone and reads the object again with each sync.
fn invalid(name: &str, predictions: &str) -> Case {
    let entry = "ignored-values";
    Case::new(&format!("invalid-prediction-{name}"))
        .object("a.json", predicted(predictions))
        .object("z.json", TASK)
        .ends(
            entry,
            [&super::with_errors(1), "completed, 2 new, 0 existed, attempt 1"],
            [
                "completed_with_errors, 0 new, 1 existed, attempt 2, 1 invalid, traceback",
                "completed, 0 new, 2 existed, attempt 2",
            ],
        )
        .task(entry, "a.json", Value::Null, super::task())
        .summary(entry, "columns", json!({"image": 1}), json!({"image": 2}))
}

/// Label Studio leaves out the task for its prediction and reads the object again with each sync. Longshore quarantines it
/// for its annotation.
fn known_quarantine() -> Case {
    Case::new("known-quarantine")
        .object("a.json", predicted(r#"[{"result": 1.5}], "annotations": [{"result": {}}]"#))
        .object("z.json", TASK)
        .ends(
            "known-quarantine",
            [&super::with_errors(1), &super::with_errors(1)],
            ["completed_with_errors, 0 new, 1 existed, attempt 2, 1 invalid, traceback", super::WITH_ERRORS_AGAIN],
        )
}

/// Predictions in another form than a list of objects.
fn form(name: &str, predictions: &str, ours: Value) -> Case {
    super::understood("forms-of-labels", name, "a.json", predicted(predictions), ours)
}
