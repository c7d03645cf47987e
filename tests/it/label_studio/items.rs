//! Items: what a task's row, its annotations and its predictions have.

use longshore_rig::rig::rows;
use serde_json::{Value, json};

use super::{Twin, Twins};

/// A region with this ID.
pub(super) fn region(id: &str) -> String {
    format!(
        r#"{{"id": "{id}", "from_name": "label", "to_name": "image", "type": "choices", "value": {{"choices": ["cat"]}}}}"#
    )
}

pub(super) fn annotated(annotations: &str) -> String {
    format!(r#"{{"data": {{"image": "s3://x/1.jpg"}}, "annotations": [{annotations}]}}"#)
}

pub(super) fn predicted(predictions: &str) -> String {
    format!(r#"{{"data": {{"image": "s3://x/1.jpg"}}, "predictions": [{predictions}]}}"#)
}

/// Puts objects with these texts, by the order of their keys.
pub(super) fn put(twins: &Twins, bucket: &str, texts: &[String]) {
    twins.rig.s3.create_bucket(bucket);
    for (number, text) in texts.iter().enumerate() {
        twins.rig.s3.put(bucket, &format!("{number:03}.json"), text.clone().into_bytes());
    }
}

/// JSON with each number as a double: Label Studio reads all numbers as Python does.
fn doubles(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.iter().map(doubles).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), doubles(value))).collect(),
        other => other.clone(),
    }
}

/// Objects that Label Studio and Longshore import alike.
fn alike() -> Vec<String> {
    let (a, b) = (region("a"), region("b"));
    let text = serde_json::to_string(&format!("[{a}]")).expect("a text");
    vec![
        r#"{"data": {"image": "i", "n": [1.10, 1E2, 0.1234567890123456789, 12345678901234567890123, -0.0, {"é": null}]}}"#
            .to_owned(),
        r#"{"image": "i", "x": 1.50}"#.to_owned(),
        r#"{"data": {"image": "i"}, "id": 7, "meta": {"a": 1}, "overlap": 9, "is_labeled": true, "drafts": []}"#.to_owned(),
        r#"{"data": {"image": "i"}, "allow_skip": null}"#.to_owned(),
        r#"{"image": "i", "allow_skip": false}"#.to_owned(),
        r#"{"data": {"image": "i"}, "annotations": null, "predictions": []}"#.to_owned(),
        predicted(&format!(
            r#"{{"result": [{a}], "score": 0.5, "model_version": "v1"}}, {{"result": [{a}, {b}], "score": "0.25", "model_version": " v2 "}},
               {{"result": [{a}]}}"#
        )),
        predicted(
            r#"{"result": "cat"}, {"result": {"choices": ["dog"]}}, {"result": []}, {"result": 7}, {"result": true}, {"result": {"x": 1}}"#,
        ),
        predicted(
            r#"{"result": [], "model_version": 3}, {"result": [], "model_version": 1.10}, {"result": [], "model_version": 1e2}"#,
        ),
        predicted(
            r#"{"result": [], "cluster": 4, "neighbors": [1, {"a": 2.50}], "mislabeling": 0.75, "id": 5, "created_at": "2020-01-01"}"#,
        ),
        annotated(&format!(
            r#"{{"result": [{a}, {b}, {a}], "completed_by": 1, "lead_time": 2.5, "ground_truth": true, "import_id": 77,
                "last_action": "submitted", "last_created_by": 1, "draft_created_at": "2024-01-02T03:04:05Z", "id": 3,
                "created_at": "2020-01-01T00:00:00Z", "unknown": 1}}"#
        )),
        annotated(r#"{"result": []}"#),
        annotated(r#"{"lead_time": "1.5"}"#),
        annotated(&format!(r#"{{"result": [{a}], "was_cancelled": true}}"#)),
        annotated(&format!(r#"{{"result": [{a}], "completed_by": 1}}, {{"result": [{b}], "completed_by": 1}}"#)),
        annotated(&format!(r#"{{"result": [{a}], "completed_by": 1}}, {{"result": [{b}]}}"#)),
        annotated(&format!(r#"{{"result": {text}}}"#)),
        annotated(r#"{"result": [{"type": "relation", "from_id": "a", "to_id": "b"}, {"type": "choices"}, {}]}"#),
        format!(
            r#"{{"data": {{"image": "i"}}, "annotations": [{{"result": [{a}]}}], "predictions": [{{"result": [{b}]}}]}}"#
        ),
        r#"[{"image": "a"}, {"data": {"image": "b"}, "allow_skip": false}, {"image": "c"}]"#.to_owned(),
    ]
}

/// Goal: rows are equal in every column, and found again as many. Method: projects that need one and two annotations.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn tasks_annotations_and_predictions_have_what_label_studio_would_store() {
    let twins = Twins::start().await;
    put(&twins, "alike", &alike());
    for annotations in [1, 2] {
        let [theirs, ours] = [twins.import("alike", json!({})).await, twins.import("alike", json!({})).await];
        for twin in [&theirs, &ours] {
            let path = format!("/api/projects/{}/", twin.project);
            twins.studio.send("PATCH", &path, Some(&json!({"maximum_annotations": annotations}))).await;
        }
        for round in ["first", "second"] {
            let [their_row, our_row] = [twins.sync_theirs(&theirs).await, twins.sync_ours(&ours).await];
            assert_eq!(their_row["status"], "completed", "{their_row}");
            let existed = if round == "first" { 0 } else { alike().len() + 2 };
            assert_eq!(our_row["meta"]["tasks_existed"], json!(existed), "rows, not keys: {our_row}");
            let [expected, seen] = [doubles(&twins.rows(&theirs).await), doubles(&twins.rows(&ours).await)];
            let tasks = |rows: &Value| rows["tasks"].as_array().cloned().unwrap_or_default();
            for (expected, seen) in tasks(&expected).iter().zip(&tasks(&seen)) {
                assert_eq!(seen, expected, "{annotations} annotations, {round} sync");
            }
            assert_eq!(seen, expected, "{annotations} annotations, {round} sync");
        }
    }
}

/// Goal: of the objects that Label Studio loses in part, without a word, or that end its sync, those whose annotations cannot
/// be read are quarantined, and of the others one value is left out. Method: one of each.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_object_is_quarantined_for_its_annotations_and_not_for_another_value() {
    let twins = Twins::start().await;
    let bad = [
        (r#"{"image": "i", "predictions": [{"result": []}]}"#.to_owned(), "missing_data"),
        (annotated(r#"{"result": {}}"#), "invalid_annotations"),
        (annotated(r#"{"result": []}, {"result": [5]}"#), "invalid_annotations"),
        (
            annotated(r#"{"result": [{"type": "choices", "from_name": "label", "to_name": "image"}]}"#),
            "invalid_annotations",
        ),
    ];
    let mut texts: Vec<String> = bad.iter().map(|(text, _)| text.clone()).collect();
    texts.extend([
        annotated(r#"{"result": []}"#),
        annotated(r#"{"result": [], "completed_by": {"id": 1}}"#),
        annotated(r#"{"result": [], "unique_id": "id-1", "was_cancelled": null, "lead_time": "long"}"#),
        r#"{"data": {"image": "i"}, "annotations": {"result": []}}"#.to_owned(),
        r#"{"data": {"image": "i"}, "allow_skip": "no"}"#.to_owned(),
        predicted(r#"{}, {"result": [5]}, {"result": 1.5}, {"result": [], "score": "high", "model_version": null}"#),
        r#"{"data": {"image": "i"}, "predictions": {"result": []}}"#.to_owned(),
    ]);
    let good = texts.len() - bad.len();
    put(&twins, "faulty", &texts);
    let twin = twins.import("faulty", json!({})).await;
    let storage = twins.sync_ours(&twin).await;
    let expected = (&json!("completed_with_errors"), &json!(good), &json!(bad.len()));
    assert_eq!(
        (&storage["status"], &storage["last_sync_count"], &storage["meta"]["tasks_failed_validation"]),
        expected,
        "{storage}"
    );
    let quarantine = twins.rig.get("/api/quarantine").await;
    let mut reasons: Vec<(&str, &str)> = rows(&quarantine)
        .iter()
        .map(|row| (row["key"].as_str().unwrap_or_default(), row["reason"].as_str().unwrap_or_default()))
        .collect();
    reasons.sort_unstable();
    for (number, ((text, reason), seen)) in bad.iter().zip(&reasons).enumerate() {
        assert_eq!(*seen, (format!("{number:03}.json").as_str(), *reason), "{text}");
    }
    assert_eq!(users(&twins, &twin).await, [None, Some(1), None, None]);
    let predictions = "SELECT count(*) FROM public.prediction WHERE project_id = $1";
    let project = i32::try_from(twin.project).expect("an ID");
    let found = twins.rig.database().await.query_one(predictions, &[&project]).await.expect("a count");
    assert_eq!(found.get::<_, i64>(0), 2);
}

/// Who made the annotations of a project.
pub(super) async fn users(twins: &Twins, twin: &Twin) -> Vec<Option<i32>> {
    let text = "SELECT completed_by_id FROM public.task_completion WHERE project_id = $1 ORDER BY id";
    let project = i32::try_from(twin.project).expect("an ID");
    let rows = twins.rig.database().await.query(text, &[&project]).await.expect("annotations");
    rows.iter().map(|row| row.get(0)).collect()
}
