//! Imports: twin projects, one synced by Label Studio itself and one by Longshore, have equal rows.

use longshore_rig::rig::{rows, until};
use serde_json::{Value, json};

use super::Twins;

/// A bucket: its name, its objects, and the settings of the storage.
struct Case {
    name: &'static str,
    objects: Vec<(&'static str, String)>,
    settings: Value,
}

fn case(name: &'static str, objects: &[(&'static str, &str)], settings: Value) -> Case {
    Case { name, objects: objects.iter().map(|(key, text)| (*key, (*text).to_owned())).collect(), settings }
}

fn cases() -> Vec<Case> {
    let blob = json!({"use_blob_urls": true});
    let cat =
        r#"{"id": "r1", "from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["cat"]}}"#;
    let annotated =
        |annotations: &str| format!(r#"{{"data": {{"image": "s3://x/1.jpg"}}, "annotations": {annotations}}}"#);
    let predicted =
        |predictions: &str| format!(r#"{{"data": {{"image": "s3://x/1.jpg"}}, "predictions": {predictions}}}"#);
    vec![
        case("flat", &[("a.jpg", "x"), ("b c+%2F.jpg", "x"), ("d/e.jpg", "x")], blob.clone()),
        case(
            "recursive",
            &[("p", "x"), ("p/a", "x"), ("p/sub/b", "x"), ("pp/c", "x"), ("p/dir/", "")],
            json!({"use_blob_urls": true, "prefix": "p/", "recursive_scan": true}),
        ),
        case(
            "regex",
            &[("img/a.jpg", "x"), ("img/b.jpg.bak", "x"), ("x/img/c.jpg", "x")],
            json!({"use_blob_urls": true, "recursive_scan": true, "regex_filter": r"img/.*\.jpg"}),
        ),
        case(
            "objects",
            &[
                (
                    "1.json",
                    r#"{"data": {"image": "s3://x/1.jpg", "n": {"deep": [null, true, 12345678901234567890123]}}}"#,
                ),
                ("2.json", r#"{"image": "no data"}"#),
                ("3.json", r#"{"data": {"image": "i"}, "id": 7, "meta": {"a": 1}, "inner_id": 9, "is_labeled": true}"#),
                ("4.json", r#"{"data": "text", "k": 1}"#),
            ],
            json!({}),
        ),
        case(
            "lists",
            &[
                ("1.json", r#"[{"image": "a"}, {"data": {"image": "b"}}, {"image": "c"}]"#),
                ("2.json", r#"[{"image": "one"}]"#),
                ("3.jsonl", "{\"image\": \"x\"}\n\n{\"image\": \"y\"}\n"),
            ],
            json!({}),
        ),
        Case {
            name: "annotations",
            objects: vec![
                (
                    "1.json",
                    annotated(&format!(
                        r#"[{{"result": [{cat}], "completed_by": 1, "lead_time": 2.5, "ground_truth": true}}]"#
                    )),
                ),
                ("2.json", annotated(r#"[{"result": []}]"#)),
                ("3.json", annotated(&format!(r#"[{{"result": [{cat}, {cat}], "was_cancelled": true}}]"#))),
                ("4.json", annotated("[]")),
            ],
            settings: json!({}),
        },
        Case {
            name: "predictions",
            objects: vec![
                (
                    "1.json",
                    predicted(&format!(
                        r#"[{{"result": [{cat}], "score": 0.5, "model_version": "v1"}}, {{"result": [{cat}]}}]"#
                    )),
                ),
                ("2.json", predicted("[]")),
            ],
            settings: json!({}),
        },
    ]
}

/// Goal: an object that refers to an unknown user costs itself alone, although Label Studio checks users only at the commit.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_annotation_of_an_unknown_user_quarantines_its_object_alone() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("users");
    for (key, user) in [("1.json", 1), ("2.json", 999), ("3.json", 1)] {
        let text = json!({"data": {"image": "i"}, "annotations": [{"result": [], "completed_by": user}]}).to_string();
        twins.rig.s3.put("users", key, text.into_bytes());
    }
    let twin = twins.import("users", json!({})).await;
    let storage = twins.sync_ours(&twin).await;
    assert_eq!(
        (&storage["status"], &storage["last_sync_count"]),
        (&json!("completed_with_errors"), &json!(2)),
        "{storage}"
    );
    let quarantine = twins.rig.get("/api/quarantine").await;
    let [row] = rows(&quarantine) else { panic!("one row: {quarantine}") };
    assert_eq!((&row["key"], &row["reason"]), (&json!("2.json"), &json!("unsupported_value")), "{row}");
    assert!(row["detail"].as_str().is_some_and(|detail| detail.contains("999")), "{row}");
}

/// Goal: Label Studio's tables do not show who imported. Method: the same bucket for twin projects.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn twin_projects_have_equal_rows() {
    let twins = Twins::start().await;
    let mut different = Vec::new();
    for case in cases() {
        twins.rig.s3.create_bucket(case.name);
        for (key, text) in &case.objects {
            twins.rig.s3.put(case.name, key, text.clone().into_bytes());
        }
        let [theirs, ours] =
            [twins.import(case.name, case.settings.clone()).await, twins.import(case.name, case.settings).await];
        for round in ["first", "second"] {
            twins.sync_theirs(&theirs).await;
            twins.sync_ours(&ours).await;
            let rows = [twins.rows(&theirs).await, twins.rows(&ours).await];
            if rows[0] != rows[1] {
                different.push(format!("{} {round} sync:\n  theirs {}\n  ours   {}", case.name, rows[0], rows[1]));
            }
        }
        // Label Studio's counts of columns and labels are too large or too small, until it counts again.
        twins.studio.send("POST", &format!("/api/projects/{}/summary/reset/", theirs.project), Some(&json!({}))).await;
        let db = twins.rig.database().await;
        until("everything is added to the summary", async || {
            let left = db.query_one("SELECT count(*) FROM host_deltas", &[]).await.expect("a table");
            (left.get::<_, i64>(0) == 0).then_some(())
        })
        .await;
        let (expected, seen) = (twins.summary(&theirs).await, twins.summary(&ours).await);
        if ["all", "common", "annotations"].iter().any(|part| seen[part] != expected[part]) {
            different.push(format!("{} summary:\n  theirs {expected}\n  ours   {seen}", case.name));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
