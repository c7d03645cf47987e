//! Tasks with predictions.

use serde_json::json;

use super::{CAT, Case, DOG, TASK, predicted};

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
        dropped("without-result", r#"[{"score": 0.5}]"#, 1),
        dropped("score-word", r#"[{"result": [], "score": "high"}]"#, 1),
        dropped("mislabeling-null", r#"[{"result": [], "mislabeling": null}]"#, 1),
        dropped("version-null", r#"[{"result": [], "model_version": null}]"#, 1),
        dropped("one-of-two", &format!(r#"[{{"result": [{CAT}]}}, {{"score": 1}}]"#), 2),
        invalid("list-of-number", r#"[{"result": [5]}]"#),
        invalid("float", r#"[{"result": 1.5}]"#),
    ]
}

/// Label Studio's row of a task whose predictions it dropped still counts them.
fn dropped(name: &str, predictions: &str, count: usize) -> Case {
    let entry = "dropped-predictions";
    Case::new(&format!("dropped-prediction-{name}"))
        .object("a.json", predicted(predictions))
        .ends(
            entry,
            ["completed, 1 new, 0 existed, attempt 1", &super::with_errors(0)],
            ["completed, 0 new, 1 existed, attempt 2", "completed, 0 new, 0 existed, attempt 2, traceback"],
        )
        .task(entry, "a.json", json!({"data": {"image": "s3://x/1.jpg"}, "total_predictions": count}), json!(null))
        .summary(entry, "columns", json!({"image": 1}), json!({}))
        .summary(entry, "common", json!(["image"]), json!([]))
}

/// Label Studio leaves out the task alone and reads the object again with each sync.
fn invalid(name: &str, predictions: &str) -> Case {
    Case::new(&format!("invalid-prediction-{name}"))
        .object("a.json", predicted(predictions))
        .object("z.json", TASK)
        .ends(
            "known-quarantine",
            [&super::with_errors(1), &super::with_errors(1)],
            ["completed_with_errors, 0 new, 1 existed, attempt 2, 1 invalid, traceback", super::WITH_ERRORS_AGAIN],
        )
}
