//! The options of a sync: what hosts may send by SQL and AMQP, and stored ones that cannot be read.

use longshore_rig::amqp::AmqpHost;
use longshore_rig::rig::{Rig, StorageHandle, rows, until};
use serde_json::{Value, json};
use tokio_postgres::NoTls;

/// An export storage, and the number of its syncs.
async fn export(rig: &Rig, bucket: &str) -> StorageHandle {
    rig.s3.create_bucket(bucket);
    let project = rig.project().await;
    rig.export_storage(project, bucket, json!({})).await
}

async fn syncs_of(rig: &Rig, storage: &StorageHandle) -> usize {
    rows(&rig.get(&format!("/api/syncs?storage={}", storage.id)).await).len()
}

/// A list of this many task IDs.
fn tasks(count: usize) -> String {
    format!(r#"{{"tasks": [1{}]}}"#, ",1".repeat(count - 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_cannot_start_a_sync_with_options_that_no_program_reads() {
    let rig = Rig::with().workers(0).start().await;
    let storage = export(&rig, "out").await;
    let (host, connection) = tokio_postgres::connect(&rig.roles.host_database_url, NoTls).await.expect("the database");
    tokio::spawn(connection);
    let call = "SELECT longshore.enqueue_sync('s3', 'export', $1, $2, $3::text::jsonb)";
    let no_key: Option<&str> = None;
    for bad in [
        "null",
        "5",
        r#""all""#,
        "[]",
        r#"{"mode": "ALL"}"#,
        r#"{"mode": null}"#,
        r#"{"task": [1]}"#,
        r#"{"tasks": 1}"#,
        r#"{"tasks": null}"#,
        r#"{"tasks": ["1"]}"#,
        r#"{"tasks": [1, null]}"#,
        r#"{"tasks": [1.0]}"#,
        r#"{"tasks": [9223372036854775808]}"#,
        r#"{"tasks": [1e100000]}"#,
        &tasks(100_001),
    ] {
        let error = host.query_one(call, &[&storage.id, &no_key, &bad]).await.map(|row| row.get::<_, i64>(0));
        let shown = &bad[..bad.len().min(60)];
        let error = error.expect_err(shown);
        let error = error.as_db_error().expect("an answer of the database");
        assert_eq!(error.code().code(), "22023", "{shown}: {error}");
        assert!(error.message().starts_with("the options of a sync "), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains(r#"{"mode": "all", "tasks": [1, 2]}"#)), "{error:?}");
    }
    let long = "k".repeat(256);
    let error = host.query_one(call, &[&storage.id, &Some(&long), &"{}"]).await.expect_err("a long key");
    assert_eq!(error.code().map(|code| code.code()), Some("22023"), "{error}");
    assert_eq!(syncs_of(&rig, &storage).await, 0);

    let most = tasks(100_000);
    for (number, good) in
        [None, Some("{}"), Some(r#"{"mode": "all", "tasks": [1, 2, 1e2]}"#), Some(&most)].into_iter().enumerate()
    {
        let key = Some("k".repeat(254) + &number.to_string());
        let sync: i64 = host.query_one(call, &[&storage.id, &key, &good]).await.expect("good options").get(0);
        let shown = rig.post(&format!("/api/syncs/{sync}/cancel"), json!({})).await;
        let sent: Value = good.map_or(json!({}), |good| serde_json::from_str(good).expect("JSON"));
        assert_eq!(shown["options"]["mode"], sent.get("mode").cloned().unwrap_or(json!("changed")), "{number}");
        let count = |options: &Value| options["tasks"].as_array().map_or(0, Vec::len);
        assert_eq!(count(&shown["options"]), count(&sent), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_more_task_ids_than_the_api_takes_is_a_dead_letter() {
    let rig = Rig::with().workers(0).start().await;
    let storage = export(&rig, "out").await;
    let host = AmqpHost::connect(&rig.amqp_url).await;
    let request = |key: &str, tasks: usize| {
        let options: Value = serde_json::from_str(&self::tasks(tasks)).expect("JSON");
        let request = json!({"version": 1, "kind": "s3", "direction": "export", "storage": storage.id,
                             "idempotency_key": key, "options": options});
        request.to_string()
    };
    let bad = [request("a", 100_001), request(&"k".repeat(256), 1)];
    for body in &bad {
        host.publish("longshore.requests", body.as_bytes()).await;
    }
    until("both are dead letters", async || (host.waiting_in("longshore.dead").await == bad).then_some(())).await;
    assert_eq!(syncs_of(&rig, &storage).await, 0);
    host.publish("longshore.requests", request(&"k".repeat(255), 100_000).as_bytes()).await;
    until("the largest request is followed", async || (syncs_of(&rig, &storage).await == 1).then_some(())).await;
}

/// Goal: what one host stored hinders no other. Method: live and ended syncs whose options cannot be read, older than a
/// good one, as a role with rights on the table can write them.
#[tokio::test(flavor = "multi_thread")]
async fn syncs_with_unreadable_options_hinder_no_other_and_can_be_cancelled() {
    let rig = Rig::start().await;
    let db = rig.database().await;
    let mut bad = Vec::new();
    for (number, options) in [r#"{"mode": "ALL"}"#, "null", "5"].into_iter().enumerate() {
        let storage = export(&rig, &format!("bad-{number}")).await;
        for status in ["failed", "queued"] {
            let insert = "INSERT INTO syncs (storage_id, requested_by, options, status, finished_at)
                          VALUES ($1, 'sql', $2::text::jsonb, $3::text, CASE $3::text WHEN 'failed' THEN now() END)
                          RETURNING id";
            bad.push(db.query_one(insert, &[&storage.id, &options, &status]).await.expect("a sync").get::<_, i64>(0));
        }
    }
    let storage = export(&rig, "good").await;
    assert_eq!(rig.sync_to_end(&storage).await["status"], "completed");
    until("the end is reported", async || {
        let shown = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
        (shown["status"] == "completed").then_some(())
    })
    .await;

    let listed = rig.get("/api/syncs").await;
    assert_eq!(rows(&listed).len(), bad.len() + 1);
    for id in bad {
        let path = format!("/api/syncs/{id}");
        assert_eq!(rig.get(&path).await["options"], json!(null));
        let (status, body) = rig.call("POST", &format!("{path}/retry"), None).await;
        assert_eq!((status, &body["code"]), (400, &json!("conflict")), "{body}");
        assert!(body["detail"].as_str().is_some_and(|detail| detail.contains("Start a new sync")), "{body}");
        let (status, body) = rig.call("POST", &format!("{path}/cancel"), None).await;
        assert_eq!((status, body["finished_at"].is_string()), (200, true), "{body}");
    }
}
