//! What annotators and managers delete in Label Studio while a sync runs.

use longshore_local::s3::When;
use longshore_rig::rig::until;
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;

use super::{Twin, Twins};

/// More than two pages.
const OBJECTS: usize = 2_100;

async fn count(twins: &Twins, text: &str) -> i64 {
    twins.rig.database().await.query_one(text, &[]).await.expect("a count").get(0)
}

/// Starts a sync, deletes something after its first page was committed, and lets the sync go on. Returns the sync once it
/// ended.
async fn deleted_in_mid_sync(twins: &Twins, bucket: &str, delete: impl AsyncFnOnce(&Twin)) -> Value {
    twins.rig.s3.create_bucket(bucket);
    twins.rig.s3.put_many(bucket, (0..OBJECTS).map(|n| (format!("{n:05}.jpg"), "x")));
    let twin = twins.import(bucket, json!({"use_blob_urls": true})).await;
    let third_page = twins.rig.s3.hold(When::listing_after("01999.jpg").times(1));
    let request = twins.rig.request("POST", &format!("/api/storages/s3/{}/sync", twin.storage));
    let request = request.header("prefer", "respond-async").header("authorization", format!("Token {}", super::TOKEN));
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
    third_page.reached().await;
    let committed = format!("SELECT count(*) FROM public.task WHERE project_id = {}", twin.project);
    until("two pages are committed", async || (count(twins, &committed).await == 2_000).then_some(())).await;
    delete(&twin).await;
    third_page.release();
    let id = count(twins, "SELECT max(id) FROM syncs").await;
    twins.rig.ended(id).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_project_or_storage_deleted_in_mid_sync_ends_the_sync_with_the_reason() {
    let twins = Twins::start().await;
    for (bucket, path, left) in [("projects", "/api/projects/{}/", 0), ("storages", "/api/storages/s3/{}", 2_000)] {
        let before = count(&twins, "SELECT count(*) FROM public.task").await;
        let sync = deleted_in_mid_sync(&twins, bucket, async |twin| {
            let id = if bucket == "projects" { twin.project } else { twin.storage };
            twins.studio.send("DELETE", &path.replace("{}", &id.to_string()), None).await;
        })
        .await;
        assert_eq!((&sync["status"], &sync["reason"]), (&json!("failed"), &json!("storage_deleted")), "{sync}");
        assert_eq!(count(&twins, "SELECT count(*) FROM public.task").await - before, left, "nothing half written");
        let failed = format!("SELECT coalesce(max(attempt), 0)::bigint FROM jobs WHERE sync_id = {}", sync["id"]);
        assert!(count(&twins, &failed).await <= 2, "no retries: {sync}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn tasks_deleted_in_mid_sync_are_no_problem() {
    let twins = Twins::start().await;
    let sync = deleted_in_mid_sync(&twins, "tasks", async |twin| {
        let tasks = twins.studio.send("GET", &format!("/api/tasks/?project={}&page_size=2", twin.project), None).await;
        for task in tasks["tasks"].as_array().expect("tasks") {
            twins.studio.send("DELETE", &format!("/api/tasks/{}/", task["id"]), None).await;
        }
    })
    .await;
    assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed"), &json!(OBJECTS)), "{sync}");
    assert_eq!(count(&twins, "SELECT count(*) FROM public.task").await, OBJECTS as i64 - 2);
}

/// Goal: at the last ID of a table nothing is written and no object is blamed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_table_without_ids_ends_the_sync_and_blames_no_object() {
    let twins = Twins::start().await;
    let text = super::items::annotated(r#"{"result": []}"#);
    super::items::put(&twins, "full", &[text.clone(), text]);
    let twin = twins.import("full", json!({})).await;
    for table in ["task", "task_completion"] {
        let set = |to: &str| format!("SELECT setval(pg_get_serial_sequence('public.{table}', 'id'), {to})");
        count(&twins, &set("2147483646")).await;
        let storage = twins.sync_ours(&twin).await;
        assert_eq!(storage["status"], "failed", "{storage}");
        let says = storage["traceback"].as_str().is_some_and(|text| text.contains(&format!("`{table}`")));
        assert!(says, "{storage}");
        count(&twins, &set("1000")).await;
    }
    assert_eq!(count(&twins, "SELECT count(*) FROM public.task").await, 0);
    assert_eq!(count(&twins, "SELECT count(*) FROM quarantine").await, 0);
    assert_eq!(twins.sync_ours(&twin).await["last_sync_count"], json!(2));
}

/// Goal: neither the storage nor the project is deleted, and no other sync starts, between the check of a page and its commit.
/// Method: a page is held there.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_page_keeps_its_storage_and_its_project_until_its_commit() {
    let twins = Twins::start().await;
    twins.rig.s3.put_many("kept", (0..3).map(|n| (format!("{n}.jpg"), "x")));
    let twin = twins.import("kept", json!({"use_blob_urls": true})).await;
    let page = twins.rig.freeze("LOCK TABLE host_created_tasks IN SHARE MODE").await;
    twins.start_ours(&twin).await;
    page.reached("INSERT INTO host_created_tasks").await;
    let db = twins.rig.database().await;
    let lock = async |table: &str, id: i64| {
        let text = format!("SELECT FROM public.{table} WHERE id = $1::bigint FOR UPDATE NOWAIT");
        db.query(&text, &[&id]).await.err().and_then(|error| error.code().cloned())
    };
    for (table, id) in [("io_storages_s3importstorage", twin.storage), ("project", twin.project)] {
        assert_eq!(lock(table, id).await, Some(SqlState::LOCK_NOT_AVAILABLE), "{table}");
    }
    page.release().await;
    twins.until_shown(&twin, "the sync has ended", |row| row["status"] == "completed").await;
}
