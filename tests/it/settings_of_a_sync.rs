//! A sync keeps the settings of its start. Changes apply from the next sync on, except credentials.

use longshore_local::s3::{Fault, Op, When};
use longshore_rig::rig::{ACCESS_KEY_ID, FRESH_ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, StorageHandle};
use serde_json::{Value, json};

const OBJECTS: usize = 2_500;

/// A bucket with objects below `a/` and `b/`, and its storage on `a/`.
async fn two_folders(rig: &Rig, bucket: &str) -> StorageHandle {
    for folder in ["a", "b"] {
        rig.s3.put_many(bucket, (0..OBJECTS).map(|n| (format!("{folder}/{n:05}.png"), "")));
    }
    let project = rig.project().await;
    rig.import_storage(project, bucket, json!({"prefix": "a", "use_blob_urls": true})).await
}

/// Changes a storage while the second page of its sync is listed, and returns the sync once it ended.
async fn changed_in_mid_sync(rig: &Rig, storage: &StorageHandle, change: Value) -> Value {
    changed_twice_in_mid_sync(rig, storage, json!({}), change).await
}

async fn changed_twice_in_mid_sync(rig: &Rig, storage: &StorageHandle, first: Value, change: Value) -> Value {
    let second_page = rig.s3.hold(When::op(Op::List).nth(2));
    let sync = rig.sync(storage).await;
    second_page.reached().await;
    rig.until_counted(sync, "pages", 1).await;
    for change in [first, change] {
        let answer = rig.patch(storage, change).await;
        assert_eq!(answer["applies_from"], "next_sync", "{answer}");
    }
    // A new attempt reads the settings again.
    rig.workers[0].process.kill().await.expect("killed");
    second_page.release();
    rig.restart_worker(0).await;
    rig.ended(sync).await
}

/// The number of tasks of a storage whose keys have this prefix.
async fn tasks(rig: &Rig, storage: &StorageHandle, start: &str) -> i64 {
    let count = "SELECT count(*) FROM tasks WHERE storage_id = $1 AND starts_with(storage_key, $2)";
    rig.database().await.query_one(count, &[&storage.id, &start]).await.expect("tasks").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_changed_in_mid_sync_applies_to_the_next_sync() {
    let rig = Rig::start().await;
    let storage = two_folders(&rig, "prefix").await;
    let (first, second) = (json!({"prefix": "c"}), json!({"prefix": "b"}));
    let sync = changed_twice_in_mid_sync(&rig, &storage, first, second).await;
    assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed"), &json!(OBJECTS)), "{sync}");
    assert_eq!((tasks(&rig, &storage, "a/").await, tasks(&rig, &storage, "b/").await), (OBJECTS as i64, 0));

    let next = rig.sync_to_end(&storage).await;
    assert_eq!((&next["status"], &next["counts"]["created"]), (&json!("completed"), &json!(OBJECTS)), "{next}");
    assert_eq!(tasks(&rig, &storage, "b/").await, OBJECTS as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_a_filter_and_a_mode_changed_in_mid_sync_apply_to_the_next_sync() {
    let rig = Rig::start().await;
    rig.s3.put_many("other", (0..10).map(|n| (format!("a/x{n}.png"), "")));
    let changes = [
        ("bucket", json!({"bucket": "other"})),
        ("filter", json!({"regex_filter": "a/00000"})),
        ("mode", json!({"use_blob_urls": false})),
    ];
    for (bucket, change) in changes {
        let storage = two_folders(&rig, bucket).await;
        let sync = changed_in_mid_sync(&rig, &storage, change).await;
        assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed"), &json!(OBJECTS)), "{sync}");
        let like_the_first = "SELECT count(*) FROM tasks
                               WHERE storage_id = $1 AND project_id = $2 AND starts_with(data ->> 'image', $3)";
        let start = format!("s3://{bucket}/a/");
        let db = rig.database().await;
        let row = db.query_one(like_the_first, &[&storage.id, &storage.project, &start]).await.expect("tasks");
        assert_eq!(row.get::<_, i64>(0), OBJECTS as i64, "{bucket}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_keeps_its_names_and_units_until_it_ends() {
    let rig = Rig::start().await;
    rig.s3.create_bucket("out");
    let project = rig.project().await;
    rig.s3.put("files", "a.json", json!(vec![json!({"image": "x"}); 5]).to_string());
    let import = rig.import_storage(project, "files", json!({"use_blob_urls": false})).await;
    rig.sync_to_end(&import).await;
    // Two objects, one of each annotation; with the new settings it would be one of the task, whose ID is another.
    let tasks = rig.get(&format!("/api/tasks?project={project}")).await;
    let task = tasks["tasks"].as_array().expect("tasks").iter().filter_map(|task| task["id"].as_i64()).max();
    let task = task.expect("a task");
    let mut expected = Vec::new();
    for _ in 0..2 {
        let annotation = rig.post(&format!("/api/tasks/{task}/annotations"), json!({"result": []})).await;
        assert_ne!(annotation["id"], task);
        expected.push(format!("{}.json", annotation["id"]));
    }
    let storage = rig.export_storage(project, "out", json!({"json_suffix": true})).await;
    let first_put = rig.s3.hold(When::op(Op::Put).nth(1));
    let sync = rig.sync(&storage).await;
    first_put.reached().await;
    let answer = rig.patch(&storage, json!({"json_suffix": false, "export_tasks": true})).await;
    assert_eq!(answer["applies_from"], "next_sync");
    rig.workers[0].process.kill().await.expect("killed");
    first_put.release();
    rig.restart_worker(0).await;
    assert_eq!(rig.ended(sync).await["status"], "completed");
    let keys: Vec<String> = rig.s3.objects("out").into_iter().map(|(key, ..)| key).collect();
    assert_eq!(keys, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_repair_a_running_sync() {
    let rig = Rig::start().await;
    let storage = two_folders(&rig, "keys").await;
    let second_page = rig.s3.hold(When::op(Op::List).nth(2));
    let sync = rig.sync(&storage).await;
    second_page.reached().await;
    rig.until_counted(sync, "pages", 1).await;
    // From now on the storage throttles the first key without end.
    let throttled = Fault::SlowDown { retry_after_seconds: 600 };
    rig.s3.fail(When::op(Op::List).access_key(ACCESS_KEY_ID), throttled);
    rig.patch(&storage, json!({"aws_access_key_id": FRESH_ACCESS_KEY_ID})).await;
    second_page.release();
    rig.until_event(0, "job_retry_scheduled").await;
    rig.make_due(sync).await;
    assert_eq!(rig.ended(sync).await["status"], "completed");
    assert_eq!(tasks(&rig, &storage, "a/").await, OBJECTS as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_another_server_are_not_sent_to_the_server_of_a_running_sync() {
    let rig = Rig::start().await;
    // The other storage is as an earlier release saved it, without a digest of the server.
    for (bucket, digest) in [("moved", "server"), ("moved-without-digest", "NULL")] {
        let storage = two_folders(&rig, bucket).await;
        let save = format!("UPDATE storages SET server = {digest} WHERE id = $1");
        rig.database().await.execute(&save, &[&storage.id]).await.expect("a storage");
        let elsewhere = json!({"s3_endpoint": rig.s3.endpoint(), "aws_access_key_id": FRESH_ACCESS_KEY_ID,
                               "aws_secret_access_key": SECRET_ACCESS_KEY});
        let sync = changed_in_mid_sync(&rig, &storage, elsewhere).await;
        assert_eq!((&sync["status"], &sync["reason"]), (&json!("failed"), &json!("storage_moved")), "{sync}");
        // The next sync creates the rest from the new server.
        let next = rig.sync_to_end(&storage).await;
        assert_eq!(next["status"], "completed", "{next}");
        assert_eq!(tasks(&rig, &storage, "a/").await, OBJECTS as i64);
    }
}
