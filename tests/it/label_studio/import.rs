//! Imports for Label Studio: what becomes of an object that it would refuse.

use longshore_rig::rig::rows;
use serde_json::json;

use super::Twins;

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
