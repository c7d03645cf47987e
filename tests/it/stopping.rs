//! Stop at any time: a frozen worker, SIGTERM and a cancelled sync take effect within one page, and small syncs do not
//! wait for a giant one.

use longshore_local::s3::{Op, When};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, RigOptions, StorageHandle};
use serde_json::json;

fn image(n: usize) -> String {
    format!("{n:05}.png")
}

/// A bucket of images, each of which becomes a task.
async fn images(rig: &Rig, bucket: &str, count: usize) -> StorageHandle {
    rig.s3.put_many(bucket, (0..count).map(|n| (image(n), "")));
    rig.import_storage(rig.project().await, bucket, json!({"use_blob_urls": true})).await
}

/// Each job runs to its end on one worker.
fn unbroken() -> RigOptions {
    Rig::with().env("LONGSHORE_QUANTUM_SECONDS", "600").env("LONGSHORE_SPLIT_AFTER_PAGES", "0")
}

/// A lease lasts longer than the test, so no other worker continues without a release.
fn long_leases() -> RigOptions {
    unbroken().env("LONGSHORE_LEASE_SECONDS", "600")
}

/// The start of each listing of a bucket.
fn listings(rig: &Rig, bucket: &str) -> Vec<String> {
    let lists = rig.s3.calls().into_iter().filter(|call| call.op == Op::List && call.bucket == bucket);
    lists.map(|call| call.start_after.unwrap_or_default()).collect()
}

async fn tasks(rig: &Rig) -> i64 {
    rig.database().await.query_one("SELECT count(*) FROM tasks", &[]).await.expect("tasks").get(0)
}

/// The number of a sync's jobs with a lease.
async fn leases(rig: &Rig, sync: i64) -> i64 {
    rig.database()
        .await
        .query_one("SELECT count(lease_until) FROM jobs WHERE sync_id = $1", &[&sync])
        .await
        .expect("jobs")
        .get(0)
}

/// Checks that each image is one task, counted once, and that another sync creates none.
async fn check_ended(rig: &Rig, storage: &StorageHandle, sync: i64, count: usize) {
    let sync = rig.ended(sync).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    let expected = one_each((0..count).map(image));
    rig.check_import(storage, &sync, &expected, &[]).await;
    rig.check_first_counts(&sync, &expected, 0);

    let again = rig.sync_to_end(storage).await;
    assert_eq!(again["counts"]["existed"], count, "{again}");
    rig.check_import(storage, &again, &expected, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_worker_that_wakes_while_another_works_writes_nothing() {
    // With such leases no heartbeat comes in time to stop it; only the fence does.
    let rig = long_leases().workers(2).start().await;
    let storage = images(&rig, "images", 1_500).await;
    let (its_page, their_page) = (rig.s3.hold(When::op(Op::List).nth(1)), rig.s3.hold(When::op(Op::List).nth(2)));

    let sync = rig.sync(&storage).await;
    its_page.reached().await;
    let stalled = rig.leasing_worker(sync).await;
    rig.stop_worker(stalled).await;
    rig.expire_leases(sync).await;
    their_page.reached().await;
    assert_ne!(rig.leasing_worker(sync).await, stalled);

    rig.wake_worker(stalled);
    its_page.release();
    rig.until_event(stalled, "attempt_left").await;
    assert_eq!(tasks(&rig).await, 0, "the job is another's");

    their_page.release();
    check_ended(&rig, &storage, sync, 1_500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_worker_that_wakes_after_another_has_finished_writes_nothing_and_keeps_working() {
    let rig = unbroken().workers(2).start().await;
    let storage = images(&rig, "images", 1_500).await;
    let its_page = rig.s3.hold(When::op(Op::List).nth(1));

    let sync = rig.sync(&storage).await;
    its_page.reached().await;
    let stalled = rig.leasing_worker(sync).await;
    rig.stop_worker(stalled).await;
    rig.ended(sync).await;

    rig.wake_worker(stalled);
    rig.until_event(stalled, "lease_lost").await;
    its_page.release();
    check_ended(&rig, &storage, sync, 1_500).await;

    let other = 1 - stalled;
    rig.workers[other].process.kill().await.expect("killed");
    let again = rig.sync_to_end(&storage).await;
    assert_eq!(again["counts"]["existed"], 1_500, "the woken worker works as before: {again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigterm_a_worker_finishes_its_page_and_another_worker_continues() {
    let mut rig = long_leases().start().await;
    let storage = images(&rig, "images", 3_500).await;
    rig.s3.clear_calls();
    let third_page = rig.s3.hold(When::op(Op::List).nth(3));

    let sync = rig.sync(&storage).await;
    third_page.reached().await;
    rig.until_counted(sync, "pages", 2).await;
    let (exit, ()) = tokio::join!(rig.workers[0].stop(), async {
        rig.until_event(0, "stopping").await;
        third_page.release();
    });
    assert!(exit.expect("it ends").success());
    assert_eq!(leases(&rig, sync).await, 0, "no worker has to wait for a lease");
    assert_eq!(tasks(&rig).await, 3_000, "the page in hand was finished");

    rig.add_worker().await;
    check_ended(&rig, &storage, sync, 3_500).await;
    let starts: Vec<String> = listings(&rig, "images").into_iter().take(4).collect();
    assert_eq!(starts, ["".to_owned(), image(999), image(1_999), image(2_999)], "nothing is done again");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigterm_a_page_that_takes_too_long_is_released() {
    let mut rig = long_leases().env("LONGSHORE_DRAIN_SECONDS", "0.2").start().await;
    let files = || (0..1_100).map(|n| format!("{n:05}.json"));
    rig.s3.put_many("files", files().map(|key| (key, r#"{"image": "x"}"#)));
    let storage = rig.import_storage(rig.project().await, "files", json!({"use_blob_urls": false})).await;
    rig.s3.clear_calls();
    let stuck = rig.s3.hold(When::op(Op::Get).key("01050.json").times(1));

    let sync = rig.sync(&storage).await;
    stuck.reached().await;
    rig.until_counted(sync, "pages", 1).await;
    let exit = rig.workers[0].stop().await.expect("it ends");
    assert!(exit.success(), "{exit}");
    assert_eq!(leases(&rig, sync).await, 0, "no worker has to wait for a lease");
    assert_eq!(tasks(&rig).await, 1_000, "nothing of the page in hand");

    rig.add_worker().await;
    let ended = rig.ended(sync).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let expected = one_each(files());
    rig.check_import(&storage, &ended, &expected, &[]).await;
    rig.check_first_counts(&ended, &expected, 0);
    let second = "00999.json";
    assert_eq!(listings(&rig, "files"), ["", second, second], "that page alone is done again");
    let again = rig.sync_to_end(&storage).await;
    assert_eq!(again["counts"]["existed"], 1_100, "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_sync_writes_nothing_more_and_the_next_sync_continues() {
    // No heartbeat comes: the worker notices when it commits its page.
    let rig = long_leases().start().await;
    let storage = images(&rig, "images", 3_500).await;
    let third_page = rig.s3.hold(When::op(Op::List).nth(3));

    let sync = rig.sync(&storage).await;
    third_page.reached().await;
    rig.until_counted(sync, "pages", 2).await;
    let cancelled = rig.post(&format!("/api/syncs/{sync}/cancel"), json!({})).await;
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    third_page.release();
    rig.until_event(0, "attempt_left").await;

    let ended = rig.get(&format!("/api/syncs/{sync}")).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    assert_eq!(ended["counts"]["created"], 2_000, "{ended}");
    rig.check_import(&storage, &ended, &one_each((0..2_000).map(image)), &[]).await;
    let shown = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
    assert_eq!(shown["status"], "cancelled", "{shown}");

    let next = rig.sync_to_end(&storage).await;
    assert_eq!(next["status"], "completed", "{next}");
    assert_eq!((&next["counts"]["existed"], &next["counts"]["created"]), (&json!(2_000), &json!(1_500)), "{next}");
    rig.check_import(&storage, &next, &one_each((0..3_500).map(image)), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_sync_ends_its_attempt_although_the_storage_never_answers() {
    let rig = unbroken().env("LONGSHORE_JOBS", "1").start().await;
    let (storage, other) = (images(&rig, "images", 1_500).await, images(&rig, "others", 10).await);
    let stuck = rig.s3.hold(When::op(Op::List).nth(1));

    let sync = rig.sync(&storage).await;
    stuck.reached().await;
    rig.post(&format!("/api/syncs/{sync}/cancel"), json!({})).await;
    rig.until_event(0, "lease_lost").await;
    // It must not end with a timeout of the storage, which would be another event.
    rig.until_event(0, "attempt_left").await;
    stuck.abandoned().await;

    // Its only slot is free again.
    let sync = rig.sync(&other).await;
    check_ended(&rig, &other, sync, 10).await;
    assert_eq!(tasks(&rig).await, 10);
    check_ended(&rig, &storage, rig.sync(&storage).await, 1_500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_sync_ends_while_a_giant_sync_runs() {
    // One slot, and a quantum that every page uses up.
    let wishes = Rig::with().env("LONGSHORE_JOBS", "1").env("LONGSHORE_SPLIT_AFTER_PAGES", "0");
    let rig = wishes.env("LONGSHORE_QUANTUM_SECONDS", "0").start().await;
    let (giant, small) = (images(&rig, "giant", 6_000).await, images(&rig, "small", 10).await);
    let (second, fourth) = (rig.s3.hold(When::op(Op::List).nth(2)), rig.s3.hold(When::op(Op::List).nth(4)));

    let giant_sync = rig.sync(&giant).await;
    second.reached().await;
    let small_sync = rig.sync(&small).await;
    longshore_rig::rig::until("the small sync waits in the queue behind the giant", || async {
        let outbox = rig.database().await.query_one("SELECT count(*) FROM outbox", &[]).await.expect("the outbox");
        (outbox.get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    second.release();

    // The giant's third page is the fourth listing: the small sync ran between its pages.
    fourth.reached().await;
    let ended = rig.ended(small_sync).await;
    assert_eq!(ended["counts"]["created"], 10, "{ended}");
    let running = rig.get(&format!("/api/syncs/{giant_sync}")).await;
    assert_eq!(running["status"], "in_progress", "{running}");
    assert_eq!(running["counts"]["created"], 2_000, "{running}");
    fourth.release();
    check_ended(&rig, &giant, giant_sync, 6_000).await;
    check_ended(&rig, &small, small_sync, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_end_at_the_same_time_close_their_sync_once() {
    let rig = unbroken().start().await;
    rig.s3.create_bucket("target");
    let storage = rig.export_storage(rig.project().await, "target", json!({})).await;

    // An export sync has two jobs. Both try to close it now.
    let listing = rig.freeze("LOCK TABLE exports IN ACCESS EXCLUSIVE MODE").await;
    let sync = rig.sync(&storage).await;
    rig.until_leased(sync, 2).await;
    let closing = rig.freeze("SELECT 1 FROM syncs FOR NO KEY UPDATE").await;
    listing.release().await;
    closing.reached_by("SELECT 1 FROM syncs", 2).await;
    closing.release().await;

    let ended = rig.ended(sync).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let attempts: Vec<_> = ended["jobs"].as_array().expect("jobs").iter().map(|job| &job["attempt"]).collect();
    assert_eq!(attempts, [&json!(1), &json!(1)], "neither blocked the other: {ended}");
    rig.check_no_unfinished_work(&storage).await;
}
