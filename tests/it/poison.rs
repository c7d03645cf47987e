//! An object that kills every worker that reads it: after a few deaths it is quarantined, and all others are imported.
//! Workers killed for other reasons quarantine no object.

use futures::future::select_all;
use longshore_local::s3::{Hold, Op, When};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, RigOptions, StorageHandle, rows, until};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Two supervised workers whose jobs run to their end. The test expires their leases.
fn two_workers() -> RigOptions {
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

/// Syncs with a supervisor that starts workers again. Each worker dies at the operation on one of these keys. Gives the
/// sync and deaths.
async fn sync_with_deaths(rig: &Rig, storage: &StorageHandle, op: Op, killers: &[String]) -> (Value, usize) {
    let hold = |key: &String| rig.s3.hold(When::op(op).key(key).nth(1));
    let mut deaths = 0;
    let mut holds: Vec<Hold> = killers.iter().map(hold).collect();
    let sync = rig.sync(storage).await;
    loop {
        let reached = select_all(holds.iter().map(|hold| Box::pin(hold.reached())));
        let killer = tokio::select! {
            ((), killer, _) = reached => killer,
            row = until_ended(rig, sync) => return (row, deaths),
        };
        deaths += 1;
        assert!(deaths <= 20 * killers.len(), "workers die and die: {}", rig.get(&format!("/api/syncs/{sync}")).await);
        let worker = rig.leasing_worker(sync).await;
        rig.workers[worker].process.kill().await.expect("killed");
        holds[killer].abandoned().await;
        // All of them: another may have been reached, too.
        holds = killers.iter().map(hold).collect();
        rig.restart_worker(worker).await;
    }
}

async fn until_ended(rig: &Rig, sync: i64) -> Value {
    until("the sync ends", || ended(rig, sync)).await
}

/// Keys in quarantine as poison.
async fn poisoned(rig: &Rig, storage: &StorageHandle) -> Vec<String> {
    let quarantine = rig.get(&format!("/api/quarantine?storage={}", storage.id)).await;
    let key = |row: &Value| {
        assert_eq!(row["reason"], "poison", "{quarantine}");
        row["key"].as_str().expect("a key").to_owned()
    };
    let mut keys: Vec<String> = rows(&quarantine).iter().map(key).collect();
    keys.sort();
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_kills_its_worker_is_quarantined_after_few_deaths_and_all_others_are_imported() {
    const FILES: usize = 10_000;
    const KILLER: usize = 7_321;
    let rig = two_workers().start().await;
    let storage = task_files(&rig, "files", FILES).await;
    let (sync, deaths) = sync_with_deaths(&rig, &storage, Op::Get, &[key(KILLER)]).await;

    assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed_with_errors"), &json!(FILES - 1)));
    let expected = one_each((0..FILES).filter(|n| *n != KILLER).map(key));
    rig.check_import(&storage, &sync, &expected, &[key(KILLER).as_str()]).await;
    assert_eq!(poisoned(&rig, &storage).await, [key(KILLER)]);
    assert!(deaths >= 5, "quarantined only after it was lost alone twice: {deaths} deaths");
    assert!(deaths <= 20, "{deaths} deaths");

    // It stays in quarantine and kills no worker until it changes or a user replays it.
    let again = rig.sync_to_end(&storage).await;
    assert_eq!(again["counts"]["still_quarantined"], 1, "{again}");
}

/// Both objects at positions where a cleared half must stay cleared, and next to each other: the first is quarantined
/// before the second kills a worker.
#[tokio::test(flavor = "multi_thread")]
async fn objects_that_kill_their_worker_are_found_at_any_position_and_next_to_each_other() {
    const FILES: usize = 2_500;
    let rig = two_workers().start().await;
    for (bucket, killers) in [("last", vec![999]), ("inside", vec![965]), ("neighbours", vec![1_321, 1_322])] {
        let killers: Vec<String> = killers.into_iter().map(key).collect();
        let storage = task_files(&rig, bucket, FILES).await;
        let (sync, deaths) = sync_with_deaths(&rig, &storage, Op::Get, &killers).await;
        let others = FILES - killers.len();
        assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed_with_errors"), &json!(others)));
        assert_eq!(poisoned(&rig, &storage).await, killers);
        assert!(deaths <= 20 * killers.len(), "{bucket}: {deaths} deaths");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_that_kills_its_worker_is_quarantined_and_all_others_are_exported() {
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
    let killer = &annotations[1..2];
    let (sync, _) = sync_with_deaths(&rig, &storage, Op::Put, killer).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    let written = || rig.s3.objects("out").into_iter().map(|(key, ..)| key).collect::<Vec<_>>();
    assert_eq!(written(), [annotations[0].as_str(), annotations[2].as_str()]);
    assert_eq!(poisoned(&rig, &storage).await, killer);

    // Later syncs leave it out, also those that write all, until it changes.
    rig.post(&format!("{}/{}/sync", storage.path, storage.id), json!({"options": {"mode": "all"}})).await;
    let latest = rig.get(&format!("/api/syncs?storage={}&limit=1", storage.id)).await;
    rig.ended(rows(&latest)[0]["id"].as_i64().expect("a sync")).await;
    assert_eq!((written().len(), poisoned(&rig, &storage).await.as_slice()), (2, killer));
    let change = Some(json!({"result": [{"id": "new"}]}));
    assert_eq!(rig.call("PATCH", &format!("/api/annotations/{}/", killer[0]), change).await.0, 200);
    let corrected = rig.sync_to_end(&storage).await;
    assert_eq!((&corrected["status"], written().len()), (&json!("completed"), 3), "{corrected}");
    assert!(poisoned(&rig, &storage).await.is_empty());
}

/// Goal: kills without a guilty object quarantine nothing. Method: the worker is killed 50 times, during or before a
/// read of the current page; after a sync ends, one of another bucket follows.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_of_healthy_workers_quarantine_nothing() {
    const FILES: usize = 3_000;
    let mut random = StdRng::seed_from_u64(50);
    let rig = two_workers().start().await;
    let mut kills = 0;
    for bucket in 0.. {
        let storage = task_files(&rig, &format!("files-{bucket}"), FILES).await;
        let sync = rig.sync(&storage).await;
        let row = loop {
            let hold = rig.s3.hold(When::op(Op::Get).nth(random.random_range(1..700)));
            if kills == 50 {
                hold.release();
                break rig.ended(sync).await;
            }
            tokio::select! {
                () = hold.reached() => {}
                row = until_ended(&rig, sync) => break row,
            }
            let worker = rig.leasing_worker(sync).await;
            rig.workers[worker].process.kill().await.expect("killed");
            kills += 1;
            hold.release();
            rig.restart_worker(worker).await;
        };
        check_all_there(&rig, &storage, &row, FILES).await;
        if kills == 50 {
            return;
        }
    }
}

/// Goal: a job that must run alone does not stop its worker. Method: an attempt of another storage runs longer than the
/// job waits; a third storage is synced meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_run_alone_in_time_lets_other_jobs_start() {
    let rig = Rig::with().env("LONGSHORE_QUANTUM_SECONDS", "0.2").env("LONGSHORE_SPLIT_AFTER_PAGES", "0").start().await;
    let slow = task_files(&rig, "slow", 1).await;
    let read = rig.s3.hold(When::op(Op::Get).key(&key(0)).nth(1));
    let slow_sync = rig.sync(&slow).await;
    read.reached().await;
    let suspect = task_files(&rig, "suspect", 10).await;
    let db = rig.database().await;
    let suspicion = "CREATE FUNCTION suspicion() RETURNS trigger LANGUAGE plpgsql
                         AS $$ BEGIN NEW.losses := 3; NEW.suspects := 2000; RETURN NEW; END $$;
                     CREATE TRIGGER suspicion BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION suspicion()";
    db.batch_execute(suspicion).await.expect("a trigger");
    let suspect_sync = rig.sync(&suspect).await;
    db.batch_execute("DROP TRIGGER suspicion ON jobs").await.expect("no trigger");
    rig.until_event(0, "job_released").await;
    let other = task_files(&rig, "other", 10).await;
    assert_eq!(rig.sync_to_end(&other).await["status"], "completed");
    read.release();
    for sync in [slow_sync, suspect_sync] {
        assert_eq!(rig.ended(sync).await["status"], "completed");
    }
}

async fn check_all_there(rig: &Rig, storage: &StorageHandle, sync: &Value, files: usize) {
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(storage, sync, &one_each((0..files).map(key)), &[]).await;
}
