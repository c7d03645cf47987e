//! What Label Studio's page shows while a sync of ours runs, waits and dies.

use longshore_local::s3::{Op, When};
use longshore_rig::proxy::Mode;
use serde_json::{Value, json};

use crate::label_studio::{Twin, Twins};

impl Twins {
    /// Waits until a later heartbeat than this one is shown, and returns it. The list has the storage all the time.
    async fn later_ping(&self, twin: &Twin, ping: &Value) -> Value {
        let row = self.until_shown(twin, "a later heartbeat", |row| row["meta"]["time_last_ping"] != *ping).await;
        self.check_listed(twin).await;
        let later = row["meta"]["time_last_ping"].clone();
        assert!(later.as_str() > ping.as_str(), "{later} is later than {ping}");
        later
    }

    /// Checks that the list of the project's storages has this one. A row that Label Studio cannot read empties the list.
    async fn check_listed(&self, twin: &Twin) {
        let listed = self.listed(twin).await;
        assert_eq!(listed.len(), 1, "the storage is listed");
        assert_eq!(listed[0]["id"], twin.storage);
    }
}

/// Goal: the page never loses a storage, and never takes a live sync for dead. Method: the list at each step of a sync.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_sync_shows_heartbeats_while_it_stalls_waits_and_is_killed() {
    let mut twins = Twins::start().await;
    twins.rig.s3.create_bucket("pings");
    twins.put_tasks("pings", 0..30);
    let twin = twins.import("pings", json!({})).await;
    twins.check_listed(&twin).await;

    // Queued: nothing claims the job.
    twins.rig.stop_worker(0).await;
    let sync = twins.start_ours(&twin).await;
    twins.check_listed(&twin).await;
    assert_eq!(twins.shown(&twin).await["status"], "queued");

    // The store stalls.
    let listing = twins.rig.s3.hold(Op::List);
    let reading = twins.rig.s3.hold(When::op(Op::Get).key("020.json"));
    twins.rig.wake_worker(0);
    listing.reached().await;
    let row = twins.until_shown(&twin, "it is in progress", |row| row["status"] == "in_progress").await;
    let mut ping = row["meta"]["time_last_ping"].clone();
    for _ in 0..3 {
        ping = twins.later_ping(&twin, &ping).await;
    }

    // A file stalls, and the job waits for a worker: it is killed, and no other one runs.
    listing.release();
    reading.reached().await;
    ping = twins.later_ping(&twin, &ping).await;
    twins.rig.workers[0].process.kill().await.expect("the worker ends");
    for _ in 0..3 {
        ping = twins.later_ping(&twin, &ping).await;
    }

    // The broker is unavailable.
    twins.rig.scheduler_links.broker.set(Mode::BlackHole).await;
    for _ in 0..3 {
        ping = twins.later_ping(&twin, &ping).await;
    }
    twins.rig.scheduler_links.broker.set(Mode::Pass).await;
    reading.release();
    twins.rig.add_worker().await;
    twins.rig.expire_leases(sync).await;
    twins.rig.ended(sync).await;
    let row = twins.until_shown(&twin, "the end is shown", |row| row["status"] == "completed").await;
    assert_eq!(row["last_sync_count"], 30, "{row}");
    twins.check_listed(&twin).await;
    twins.check_rows(&twin, 30).await;
}

/// Goal: the list is complete at each reload. Method: 200 reloads while syncs run one after the other.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn the_list_of_storages_is_never_empty_while_syncs_run() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("reloads");
    let twin = twins.import("reloads", json!({"use_blob_urls": true})).await;
    let reloads = async {
        for _ in 0..200 {
            twins.check_listed(&twin).await;
        }
    };
    let syncs = async {
        for round in 0.. {
            twins.rig.s3.put_many("reloads", (0..10).map(|n| (format!("{round:05}-{n}.jpg"), "x")));
            twins.sync_ours(&twin).await;
        }
    };
    tokio::select! {
        () = reloads => {}
        () = syncs => {}
    }
}
