//! A worker killed at any step of a page leaves no partial page: the next worker finishes the job exactly once.

use std::collections::BTreeMap;

use longshore_local::s3::{Op, When};
use longshore_rig::oracle::one_each;
use longshore_rig::proxy::{Direction, Mode};
use longshore_rig::rig::{Rig, RigOptions, StorageHandle};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Three pages.
const IMAGES: usize = 2_500;

fn image(n: usize) -> String {
    format!("{n:05}.png")
}

/// One worker whose jobs run to their end.
fn one_worker() -> RigOptions {
    Rig::with().env("LONGSHORE_QUANTUM_SECONDS", "600").env("LONGSHORE_SPLIT_AFTER_PAGES", "0")
}

/// A bucket of images, each of which becomes a task.
async fn images(rig: &Rig, bucket: &str) -> (StorageHandle, BTreeMap<String, usize>) {
    rig.s3.put_many(bucket, (0..IMAGES).map(|n| (image(n), "")));
    let storage = rig.import_storage(rig.project().await, bucket, json!({"use_blob_urls": true})).await;
    (storage, one_each((0..IMAGES).map(image)))
}

/// A bucket of this many task files with two tasks each, and an invalid one.
async fn task_files(rig: &Rig, bucket: &str, files: usize) -> (StorageHandle, BTreeMap<String, usize>) {
    let content = json!([{"image": "a"}, {"data": {"image": "b"}, "predictions": [{"result": []}]}]).to_string();
    rig.s3.put_many(bucket, (0..files).map(|n| (format!("{n:05}.json"), content.clone())));
    rig.s3.put(bucket, "bad.json", "{");
    let storage = rig.import_storage(rig.project().await, bucket, json!({"use_blob_urls": false})).await;
    (storage, (0..files).map(|n| (format!("{n:05}.json"), 2)).collect())
}

/// The start of each listing of a bucket.
fn listings(rig: &Rig, bucket: &str) -> Vec<String> {
    let lists = rig.s3.calls().into_iter().filter(|call| call.op == Op::List && call.bucket == bucket);
    lists.map(|call| call.start_after.unwrap_or_default()).collect()
}

/// Checks that each task exists once and is counted once, and that another sync creates none.
async fn check_ended(
    rig: &Rig,
    storage: &StorageHandle,
    sync: i64,
    expected: &BTreeMap<String, usize>,
    aside: &[&str],
) {
    let sync = rig.ended(sync).await;
    let status = if aside.is_empty() { "completed" } else { "completed_with_errors" };
    assert_eq!(sync["status"], status, "{sync}");
    rig.check_import(storage, &sync, expected, aside).await;
    rig.check_first_counts(&sync, expected, aside.len());

    let again = rig.sync_to_end(storage).await;
    assert_eq!(again["counts"]["created"], 0, "{again}");
    assert_eq!(again["counts"]["existed"], expected.len(), "{again}");
    rig.check_import(storage, &again, expected, aside).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_after_listing_or_inside_the_transaction_loses_only_that_page() {
    let rig = one_worker().start().await;
    let (storage, expected) = images(&rig, "images").await;
    rig.s3.clear_calls();

    // After listing: the second page is listed, but not yet compared with the ledger.
    let second_page = rig.s3.hold(When::op(Op::List).nth(2));
    let sync = rig.sync(&storage).await;
    second_page.reached().await;
    rig.until_counted(sync, "pages", 1).await;
    let ledger = rig.freeze("LOCK TABLE objects IN ACCESS EXCLUSIVE MODE").await;
    second_page.release();
    ledger.reached("SELECT count(*) AS rows").await;
    rig.workers[0].process.kill().await.expect("killed");
    ledger.release().await;

    // At the end of the transaction: the third page is written, but not committed.
    let third_page = rig.s3.hold(When::op(Op::List).nth(2));
    rig.restart_worker(0).await;
    third_page.reached().await;
    rig.until_counted(sync, "pages", 2).await;
    let closing = rig.freeze("SELECT 1 FROM syncs FOR NO KEY UPDATE").await;
    third_page.release();
    closing.reached("SELECT 1 FROM syncs").await;
    rig.workers[0].process.kill().await.expect("killed");
    closing.release().await;

    rig.restart_worker(0).await;
    check_ended(&rig, &storage, sync, &expected, &[]).await;
    let (first, second) = (image(999), image(1_999));
    let mut starts = listings(&rig, "images");
    // The next sync starts from the beginning. The killed worker may have requested one page ahead.
    starts.truncate(starts.iter().rposition(String::is_empty).expect("listings"));
    let times = |start: &str| starts.iter().filter(|asked| *asked == start).count();
    assert_eq!((times(""), times(&first)), (1, 2), "what was committed is not listed again: {starts:?}");
    assert!((2..=3).contains(&times(&second)) && starts.last() == Some(&second), "{starts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_reading_or_writing_task_files_leaves_no_part_of_the_page() {
    let mut rig = one_worker().start().await;
    let (storage, expected) = task_files(&rig, "files", 40).await;
    let a_file = || When::op(Op::Get).key("00020.json");
    let (reading, read) = (rig.s3.hold(a_file().nth(1)), rig.s3.hold(a_file().nth(2)));

    // While reading: all but one file are read.
    let sync = rig.sync(&storage).await;
    reading.reached().await;
    rig.workers[0].process.kill().await.expect("killed");
    reading.abandoned().await;

    // After reading: the page is complete, but not yet past its fence.
    rig.restart_worker(0).await;
    read.reached().await;
    let fence = rig.freeze("SELECT 1 FROM jobs FOR UPDATE").await;
    read.release();
    fence.reached("SELECT failures, commits").await;
    rig.workers[0].process.kill().await.expect("killed");
    fence.release().await;

    // Inside the transaction: tasks are written, their predictions and the ledger not yet.
    let tables = rig.freeze("LOCK TABLE predictions IN SHARE MODE").await;
    rig.restart_worker(0).await;
    tables.reached("COPY predictions").await;
    rig.workers[0].process.kill().await.expect("killed");
    tables.release().await;

    let tasks: i64 = rig.database().await.query_one("SELECT count(*) FROM tasks", &[]).await.expect("tasks").get(0);
    assert_eq!(tasks, 0, "nothing of a page that did not commit");

    // This time another worker takes over when the lease expires.
    rig.add_worker().await;
    check_ended(&rig, &storage, sync, &expected, &["bad.json"]).await;
    let db = rig.database().await;
    let predictions: i64 = db.query_one("SELECT count(*) FROM predictions", &[]).await.expect("predictions").get(0);
    assert_eq!(predictions, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_committed_before_its_worker_was_killed_is_not_repeated() {
    // One unacknowledged message at a time, and one page per attempt.
    let rig = one_worker().env("LONGSHORE_JOBS", "1").env("LONGSHORE_QUANTUM_SECONDS", "0").start().await;
    let (storage, expected) = images(&rig, "images").await;
    rig.s3.clear_calls();
    let broker = &rig.worker_links.broker;

    let mut sync = 0;
    // The first page releases the job; the last one completes it.
    for (listing, pages) in [(1, 1), (2, 3)] {
        let held = rig.s3.hold(When::op(Op::List).nth(listing));
        if sync == 0 {
            sync = rig.sync(&storage).await;
        } else {
            rig.restart_worker(0).await;
        }
        held.reached().await;
        broker.set(Mode::Stall(Direction::ToServer)).await;
        held.release();
        rig.until_counted(sync, "pages", pages).await;
        rig.workers[0].process.kill().await.expect("killed");
        broker.cut();
        broker.wait_for_connections(|open| open == 0).await;
        broker.set(Mode::Pass).await;
    }

    let output = rig.workers[0].process.log().len();
    rig.restart_worker(0).await;
    longshore_rig::rig::until("the message comes again, and finds nothing to do", || async {
        rig.workers[0].process.log()[output..].contains("\"event\":\"nothing_to_claim\"").then_some(())
    })
    .await;
    assert_eq!(listings(&rig, "images"), ["".to_owned(), image(999), image(1_999)]);
    check_ended(&rig, &storage, sync, &expected, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_page_committed_before_a_kill_are_not_repeated() {
    let rig = one_worker().start().await;
    // 3 MiB each: two of them fill a part.
    let content = json!({"text": "x".repeat(3 * 1024 * 1024)}).to_string();
    rig.s3.put_many("large", (0..6).map(|n| (format!("{n}.json"), content.clone())));
    rig.s3.put("large", "1.json", "not JSON");
    let storage = rig.import_storage(rig.project().await, "large", json!({})).await;
    rig.s3.clear_calls();

    let later = rig.s3.hold(When::op(Op::Get).key("4.json").nth(1));
    let sync = rig.sync(&storage).await;
    later.reached().await;
    rig.until_counted(sync, "quarantined", 1).await;
    rig.until_counted(sync, "imported", 2).await;
    rig.workers[0].process.kill().await.expect("killed");
    later.abandoned().await;

    rig.restart_worker(0).await;
    let expected = one_each(["0.json", "2.json", "3.json", "4.json", "5.json"]);
    check_ended(&rig, &storage, sync, &expected, &["1.json"]).await;
    let reads = |key: &str| rig.s3.calls().iter().filter(|call| call.op == Op::Get && call.key == key).count();
    assert_eq!(
        (reads("0.json"), reads("1.json"), reads("4.json")),
        (1, 1, 2),
        "only the part that did not commit is read again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_at_random_points_lose_and_double_nothing() {
    let seed: u64 = rand::random();
    eprintln!("seed of the kill points: {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let rig = Rig::with().workers(2).env("LONGSHORE_QUANTUM_SECONDS", "0.05").start().await;

    for round in 0..4 {
        let bucket = format!("round-{round}");
        let (storage, expected) =
            if round % 2 == 0 { images(&rig, &bucket).await } else { task_files(&rig, &bucket, 1_200).await };
        let aside: &[&str] = if round % 2 == 0 { &[] } else { &["bad.json"] };
        let sync = rig.sync(&storage).await;
        for _ in 0..6 {
            // A point in the traffic with the database, not in time.
            let bytes = rig.worker_links.database.bytes() + random.random_range(500..300_000);
            let victim = random.random_range(0..2);
            tokio::select! {
                _ = rig.ended(sync) => break,
                () = rig.worker_links.database.wait_for_bytes(bytes) => {}
            }
            rig.workers[victim].process.kill().await.expect("killed");
            rig.restart_worker(victim).await;
        }
        check_ended(&rig, &storage, sync, &expected, aside).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_during_export_writes_each_annotation_to_one_object() {
    const ANNOTATIONS: i64 = 60;
    let rig = one_worker().start().await;
    rig.s3.create_bucket("target");
    let project = rig.project().await;
    let db = rig.database().await;
    db.execute(
        "WITH made AS (INSERT INTO tasks (project_id, data)
                       SELECT $1, jsonb_build_object('image', n) FROM generate_series(1, $2::bigint) n RETURNING id)
         INSERT INTO annotations (task_id, project_id) SELECT id, $1 FROM made",
        &[&project, &ANNOTATIONS],
    )
    .await
    .expect("annotations");
    let storage = rig.export_storage(project, "target", json!({"prefix": "out"})).await;
    let kept_back = rig.s3.hold_answer(When::op(Op::Put).nth(20));

    // After a PUT: the object is stored, but not recorded.
    let sync = rig.sync(&storage).await;
    kept_back.reached().await;
    rig.workers[0].process.kill().await.expect("killed");
    kept_back.abandoned().await;

    // Inside the transaction: every object is stored, their rows are not.
    let rows = rig.freeze("LOCK TABLE exports IN SHARE MODE").await;
    rig.restart_worker(0).await;
    rows.reached("INSERT INTO exports").await;
    assert_eq!(rig.s3.objects("target").len() as i64, ANNOTATIONS);
    rig.workers[0].process.kill().await.expect("killed");
    rows.release().await;

    rig.restart_worker(0).await;
    let ended = rig.ended(sync).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(ended["counts"]["exported"], ANNOTATIONS, "{ended}");
    assert_eq!(ended["counts"]["matched"], ANNOTATIONS, "{ended}");
    rig.check_no_unfinished_work(&storage).await;
    check_exported(&rig, &storage, ANNOTATIONS).await;

    rig.s3.clear_calls();
    let again = rig.sync_to_end(&storage).await;
    assert_eq!(again["counts"]["exported"], 0, "{again}");
    assert_eq!(rig.s3.count(Op::Put), 0);
}

/// Checks that each annotation has one object with its content, and that the annotation's row agrees.
async fn check_exported(rig: &Rig, storage: &StorageHandle, annotations: i64) {
    let tag = |etag: &str| etag.trim_matches('"').to_owned();
    let objects: BTreeMap<i64, (String, String)> = rig
        .s3
        .objects("target")
        .into_iter()
        .map(|(key, etag, body)| {
            let body: Value = serde_json::from_slice(&body).expect("an object is JSON");
            (body["id"].as_i64().expect("an annotation's id"), (key, tag(&etag)))
        })
        .collect();
    let rows: BTreeMap<i64, (String, String)> = rig
        .database()
        .await
        .query("SELECT unit_id, key, etag FROM exports WHERE storage_id = $1", &[&storage.id])
        .await
        .expect("exports")
        .iter()
        .map(|row| (row.get(0), (row.get(1), tag(row.get(2)))))
        .collect();
    assert_eq!(rows, objects);
    assert_eq!(rig.s3.objects("target").len() as i64, annotations);
    assert_eq!(objects.len() as i64, annotations);
}
