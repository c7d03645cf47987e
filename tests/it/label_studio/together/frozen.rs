//! A sync of ours that is silent for so long that Label Studio takes it for dead.

use longshore_local::s3::{Op, When};
use longshore_rig::rig::until;
use nix::sys::signal::Signal;
use serde_json::json;

use super::step::EXACT;
use crate::label_studio::Twins;

/// Goal: no key is doubled. Method: all of Longshore is stopped in mid-sync, Label Studio's own sync imports everything,
/// and Longshore continues. The last heartbeat is set back instead of a wait.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_frozen_sync_that_was_taken_over_writes_nothing_more() {
    // Leases that last longer than the freeze: only the fence on the storage's row is left.
    let twins = Twins::with(|options| options.env("LONGSHORE_LEASE_SECONDS", "600")).await;
    twins.rig.s3.create_bucket("frozen");
    twins.put_tasks("frozen", 0..20);
    let twin = twins.import("frozen", json!({})).await;
    let reading = twins.rig.s3.hold(When::op(Op::Get).key("019.json"));
    let sync = twins.start_ours(&twin).await;
    reading.reached().await;
    twins.until_shown(&twin, "the sync is in progress", |row| row["status"] == "in_progress").await;

    twins.rig.stop_worker(0).await;
    let scheduler = &twins.rig.schedulers[0].process;
    scheduler.signal(Signal::SIGSTOP).expect("a scheduler can be stopped");
    reading.release();
    twins.silence(&twin).await;
    let listed = twins.listed(&twin).await;
    assert_eq!(listed[0]["status"], "failed", "{listed:?}");
    let theirs = twins.sync_theirs(&twin).await;
    assert_eq!((&theirs["status"], &theirs["last_sync_count"]), (&json!("completed"), &json!(20)), "{theirs}");

    scheduler.signal(Signal::SIGCONT).expect("a scheduler can be woken");
    twins.rig.wake_worker(0);
    let ended = twins.rig.ended(sync).await;
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("failed"), &json!("taken_over")), "{ended}");
    until("the end is reported", async || {
        let text = "SELECT reported_at IS NOT NULL FROM syncs WHERE id = $1";
        let row = twins.rig.database().await.query_one(text, &[&sync]).await.expect("a sync");
        row.get::<_, bool>(0).then_some(())
    })
    .await;
    assert_eq!(twins.shown(&twin).await, theirs, "the row is that of Label Studio's sync");
    twins.check_rows(&twin, 20).await;

    // The next sync of ours knows all keys.
    let again = twins.sync_ours(&twin).await;
    assert_eq!((&again["status"], &again["last_sync_count"]), (&json!("completed"), &json!(0)), "{again}");
    twins.check_rows(&twin, 20).await;
    twins.check_summary(&twin, EXACT).await;
}

/// Goal: a sync that was taken over reads nothing more, and a request beside the sync of Label Studio does not get the frozen
/// one. Method: the worker dies and all else is stopped in mid-sync; the next attempt begins while Label Studio syncs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn the_next_attempt_of_a_sync_that_was_taken_over_reads_no_object() {
    let twins = Twins::with(|options| options.env("LONGSHORE_LEASE_SECONDS", "600")).await;
    twins.rig.s3.create_bucket("resumed");
    twins.put_tasks("resumed", 0..3);
    let twin = twins.import("resumed", json!({})).await;
    let reading = twins.rig.s3.hold(When::op(Op::Get).key("002.json"));
    let sync = twins.start_ours(&twin).await;
    reading.reached().await;
    twins.until_shown(&twin, "the sync is in progress", |row| row["status"] == "in_progress").await;
    twins.rig.workers[0].process.kill().await.expect("killed");
    twins.rig.schedulers[0].process.signal(Signal::SIGSTOP).expect("a scheduler can be stopped");
    reading.release();
    twins.silence(&twin).await;
    assert_eq!(twins.listed(&twin).await[0]["status"], "failed");
    let reading = twins.rig.s3.hold(When::op(Op::Get).key("002.json"));
    let ours = async {
        reading.reached().await;
        twins.rig.schedulers[0].process.signal(Signal::SIGCONT).expect("a scheduler can be woken");
        let path = format!("/api/storages/s3/{}/sync", twin.storage);
        let (status, body) = twins.rig.call("POST", &path, Some(json!({}))).await;
        assert_eq!((status, &body["code"]), (400, &json!("sync_live")), "{body}");
        reading.release();
    };
    let (theirs, ()) = tokio::join!(twins.sync_theirs(&twin), ours);
    assert_eq!(theirs["last_sync_count"], 3, "{theirs}");
    twins.rig.s3.clear_calls();
    twins.rig.restart_worker(0).await;
    twins.rig.expire_leases(sync).await;
    let ended = twins.rig.ended(sync).await;
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("failed"), &json!("taken_over")), "{ended}");
    assert_eq!(twins.rig.s3.count(Op::List) + twins.rig.s3.count(Op::Get), 0, "no object is read");
}

/// Goal: a dead sync of Label Studio does not lock its storage for good, and a live one keeps it. Method: rows as its sync
/// leaves them, with a last heartbeat before and after the time for which Label Studio itself waits.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_sync_of_label_studio_is_taken_over_only_once_it_is_dead() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("dead");
    twins.put_tasks("dead", 0..3);
    let twin = twins.import("dead", json!({})).await;
    let db = twins.rig.database().await;
    for (status, age, is_dead) in [("queued", 600, false), ("in_progress", -600, false), ("in_progress", 26, true)] {
        let text = format!(
            r#"UPDATE public.io_storages_s3importstorage SET status = '{status}', meta = jsonb_build_object('attempts', 1,
                   'time_queued', '2026-01-02 03:04:05.000006+00:00', 'time_last_ping', to_char(now() AT TIME ZONE 'UTC'
                   - interval '{age} seconds', 'YYYY-MM-DD HH24:MI:SS.US') || '+00:00') WHERE id = {}"#,
            twin.storage
        );
        db.batch_execute(&text).await.expect("a storage");
        let path = format!("/api/storages/s3/{}/sync", twin.storage);
        if is_dead {
            let row = twins.sync_ours(&twin).await;
            assert_eq!((&row["status"], &row["last_sync_count"]), (&json!("completed"), &json!(3)), "{row}");
            assert_eq!(row["meta"]["attempts"], 2, "{row}");
        } else {
            let row = twins.sync_ours(&twin).await;
            assert_eq!((&row["status"], &row["meta"]["attempts"]), (&json!(status), &json!(1)), "{row}");
            let (answer, body) = twins.rig.call("POST", &path, Some(json!({}))).await;
            assert_eq!((answer, &body["code"]), (400, &json!("sync_live")), "{status}: {body}");
        }
    }
}

/// Goal: a sync that Label Studio only marked as failed goes on. Method: the heartbeat is set back while a file is read.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_sync_that_is_shown_as_failed_while_it_runs_is_shown_as_running_again() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("silent");
    twins.put_tasks("silent", 0..3);
    let twin = twins.import("silent", json!({})).await;
    let reading = twins.rig.s3.hold(When::op(Op::Get).key("002.json"));
    twins.start_ours(&twin).await;
    reading.reached().await;
    twins.until_shown(&twin, "the sync is in progress", |row| row["status"] == "in_progress").await;
    let db = twins.rig.database().await;
    let text =
        "UPDATE public.io_storages_s3importstorage SET status = 'failed', traceback = 'dead' WHERE id = $1::bigint";
    db.execute(text, &[&twin.storage]).await.expect("a storage");
    let row = twins.until_shown(&twin, "it is in progress again", |row| row["status"] == "in_progress").await;
    assert_eq!(row["traceback"], json!(null), "{row}");
    reading.release();
    let row = twins.until_shown(&twin, "the sync has ended", |row| row["status"] == "completed").await;
    assert_eq!(row["last_sync_count"], 3, "{row}");
}
