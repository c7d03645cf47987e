//! An object that ends every worker which reads it: workers die a few times, then it is in quarantine and all others
//! are tasks. Workers that are killed for other reasons put nothing there.

use longshore_local::s3::{Op, When};
use longshore_tests::oracle::one_each;
use longshore_tests::rig::{Rig, StorageHandle, Wishes, rows, until};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Two supervised workers whose jobs run to their end. A lease ends when the test says so.
fn two_workers() -> Wishes {
    Rig::with()
        .workers(2)
        .env("LONGSHORE_LEASE_SECONDS", "3600")
        .env("LONGSHORE_QUANTUM_SECONDS", "600")
        .env("LONGSHORE_SPLIT_AFTER_PAGES", "0")
}

fn key(n: usize) -> String {
    format!("{n:05}.json")
}

/// A bucket of task files with one task each.
async fn task_files(rig: &Rig, bucket: &str, files: usize) -> StorageHandle {
    rig.s3.put_many(bucket, (0..files).map(|n| (key(n), r#"{"image": "a"}"#)));
    rig.import_storage(rig.project().await, bucket, json!({"use_blob_urls": false})).await
}

/// The sync, once it has ended.
async fn ended(rig: &Rig, sync: i64) -> Option<Value> {
    let row = rig.get(&format!("/api/syncs/{sync}")).await;
    (!row["finished_at"].is_null()).then_some(row)
}

/// Syncs with a supervisor that starts workers again. Each worker dies as it reads the key. Gives the sync and deaths.
async fn sync_with_deaths(rig: &Rig, storage: &StorageHandle, killer: &str) -> (Value, usize) {
    let mut deaths = 0;
    let mut hold = rig.s3.hold(When::op(Op::Get).key(killer).nth(1));
    let sync = rig.sync(storage).await;
    loop {
        let end = tokio::select! {
            () = hold.reached() => None,
            row = until_ended(rig, sync) => Some(row),
        };
        if let Some(row) = end {
            return (row, deaths);
        }
        deaths += 1;
        assert!(deaths <= 20, "workers die and die: {}", rig.get(&format!("/api/syncs/{sync}")).await);
        let worker = rig.holder(sync).await;
        rig.workers[worker].process.kill().await.expect("killed");
        hold.abandoned().await;
        hold = rig.s3.hold(When::op(Op::Get).key(killer).nth(1));
        rig.restart_worker(worker).await;
    }
}

async fn until_ended(rig: &Rig, sync: i64) -> Value {
    until("the sync ends", || ended(rig, sync)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_ends_its_worker_is_quarantined_after_few_deaths_and_all_others_are_imported() {
    const FILES: usize = 10_000;
    const KILLER: usize = 7_321;
    let rig = two_workers().start().await;
    let storage = task_files(&rig, "files", FILES).await;
    let (sync, deaths) = sync_with_deaths(&rig, &storage, &key(KILLER)).await;

    assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed_with_errors"), &json!(FILES - 1)));
    let expected = one_each((0..FILES).filter(|n| *n != KILLER).map(key));
    rig.check_import(&storage, &sync, &expected, &[key(KILLER).as_str()]).await;
    let quarantine = rig.get(&format!("/api/quarantine?storage={}", storage.id)).await;
    let [row] = rows(&quarantine) else { panic!("one object: {quarantine}") };
    assert_eq!((&row["key"], &row["reason"]), (&json!(key(KILLER)), &json!("poison")));
    assert!(deaths >= 5, "quarantined only after it was lost alone twice: {deaths} deaths");

    // It stays there, and costs no worker, until it changes or a user asks for it.
    let again = rig.sync_to_end(&storage).await;
    assert_eq!(again["counts"]["still_quarantined"], 1, "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_that_ends_its_worker_is_quarantined_and_all_others_are_exported() {
    let rig = two_workers().start().await;
    rig.s3.create_bucket("out");
    let project = rig.project().await;
    rig.s3.put("files", "a.json", json!([{"image": "x"}, {"image": "y"}, {"image": "z"}]).to_string());
    let import = rig.import_storage(project, "files", json!({"use_blob_urls": false})).await;
    rig.sync_to_end(&import).await;
    let mut annotations = Vec::new();
    for task in rig.get(&format!("/api/tasks?project={project}")).await["tasks"].as_array().expect("tasks") {
        let made = rig.post(&format!("/api/tasks/{}/annotations", task["id"]), json!({"result": []})).await;
        annotations.push(made["id"].to_string());
    }
    let storage = rig.export_storage(project, "out", json!({})).await;

    let killer = annotations[1].as_str();
    let mut deaths = 0;
    let mut hold = rig.s3.hold(When::op(Op::Put).key(killer).nth(1));
    let sync = rig.sync(&storage).await;
    let sync = loop {
        tokio::select! {
            () = hold.reached() => {}
            row = until_ended(&rig, sync) => break row,
        }
        deaths += 1;
        assert!(deaths <= 20, "workers die and die");
        let worker = rig.holder(sync).await;
        rig.workers[worker].process.kill().await.expect("killed");
        hold.abandoned().await;
        hold = rig.s3.hold(When::op(Op::Put).key(killer).nth(1));
        rig.restart_worker(worker).await;
    };
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    let written: Vec<String> = rig.s3.objects("out").into_iter().map(|(key, ..)| key).collect();
    assert_eq!(written, [annotations[0].as_str(), annotations[2].as_str()]);
    let quarantine = rig.get(&format!("/api/quarantine?storage={}", storage.id)).await;
    assert_eq!(rows(&quarantine)[0]["reason"], "poison", "{quarantine}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_of_healthy_workers_quarantine_nothing() {
    const FILES: usize = 6_000;
    let mut random = StdRng::seed_from_u64(50);
    let rig = two_workers().start().await;
    let storage = task_files(&rig, "files", FILES).await;
    let sync = rig.sync(&storage).await;
    for _ in 0..50 {
        // At some read of the current page, or before: the worker is healthy, and dies anyway.
        let hold = rig.s3.hold(When::op(Op::Get).nth(random.random_range(1..700)));
        tokio::select! {
            () = hold.reached() => {}
            row = until_ended(&rig, sync) => {
                check_all_there(&rig, &storage, &row, FILES).await;
                return;
            }
        }
        let worker = rig.holder(sync).await;
        rig.workers[worker].process.kill().await.expect("killed");
        hold.release();
        rig.restart_worker(worker).await;
    }
    let row = rig.ended(sync).await;
    check_all_there(&rig, &storage, &row, FILES).await;
}

async fn check_all_there(rig: &Rig, storage: &StorageHandle, sync: &Value, files: usize) {
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(storage, sync, &one_each((0..files).map(key)), &[]).await;
}
