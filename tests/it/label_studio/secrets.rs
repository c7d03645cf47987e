//! Secrets of Label Studio's storages stay in its tables.

use longshore_rig::rig::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, send_json};
use serde_json::json;

use super::{TOKEN, Twins};

/// Goal: Longshore's schema and its logs show no secret. Method: every row after a session of all that reads
/// secrets, at the log level with the most lines.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn secrets_of_label_studio_are_in_no_row_and_no_log_of_longshore() {
    let twins = Twins::with(|options| options.env("LONGSHORE_LOG", "trace")).await;
    twins.rig.s3.create_bucket("secret");
    twins.rig.s3.put(
        "secret",
        "1.json",
        r#"{"data": {"image": "s3://secret/1.json"}, "annotations": [{"result": []}]}"#,
    );
    twins.rig.s3.put("secret", "2.json", "{");
    let twin = twins.import("secret", json!({"title": "shown"})).await;
    let target = json!({"project": twin.project, "bucket": "secret", "prefix": "out", "region_name": "us-east-1",
        "s3_endpoint": twins.rig.s3.endpoint(), "aws_access_key_id": ACCESS_KEY_ID,
        "aws_secret_access_key": SECRET_ACCESS_KEY});
    let target = twins.studio.send("POST", "/api/storages/export/s3", Some(&target)).await;
    twins.sync_ours(&twin).await;
    let export = twins.rig.request("POST", &format!("/api/storages/export/s3/{}/sync", target["id"]));
    let (status, body) = send_json(export.header("authorization", format!("Token {TOKEN}"))).await;
    assert_eq!(status, 200, "{body}");
    let path = format!("/api/storages/s3/{}", twin.storage);
    twins.rig.post(&format!("{path}/doctor"), json!({})).await;
    let task = twins.studio.send("GET", &format!("/api/tasks/?project={}", twin.project), None).await;
    let resolved = twins.rig.post("/api/resolve", json!({"task": task["tasks"][0]["id"]})).await;
    let mut seen = format!("{body} {resolved} {}", twins.rig.get(&path).await);

    let db = twins.rig.database().await;
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'longshore'";
    for table in db.query(tables, &[]).await.expect("tables") {
        let table: String = table.get(0);
        for row in db.query(&format!("SELECT to_jsonb(t)::text FROM {table} t"), &[]).await.expect("rows") {
            seen.extend(["\n", &table, " ", row.get(0)]);
        }
    }
    assert!(seen.contains("shown"), "the rows are read");
    seen.push_str(&twins.rig.logs());
    for line in seen.lines() {
        let is_secret = [SECRET_ACCESS_KEY, TOKEN].iter().any(|secret| line.contains(secret));
        assert!(!is_secret, "{line}");
    }
}
