//! Label Studio's own syncs and Longshore's on one storage.

mod annotators;
mod frozen;
mod heartbeat;
mod killed;
mod step;

use futures::FutureExt;
use futures::future::select;
use longshore_local::s3::Op;
use serde_json::json;

use super::Twins;

/// Goal: each knows the keys that the other imported, and a key comes back once its task is deleted. Method: both sync in turns.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn what_one_imported_is_known_to_the_other_and_deleted_tasks_come_back() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("turns");
    let put = |from: usize, to: usize| {
        twins.rig.s3.put_many("turns", (from..to).map(|n| (format!("{n:03}.jpg"), "x")));
    };
    put(0, 20);
    let twin = twins.import("turns", json!({"use_blob_urls": true})).await;
    let counts = |answer: &serde_json::Value| {
        (
            answer["last_sync_count"].as_i64().expect("a count"),
            answer["meta"]["tasks_existed"].as_i64().unwrap_or_default(),
        )
    };
    assert_eq!(counts(&twins.sync_theirs(&twin).await), (20, 0));
    put(20, 30);
    assert_eq!(counts(&twins.sync_ours(&twin).await), (10, 20));
    put(30, 35);
    assert_eq!(counts(&twins.sync_theirs(&twin).await), (5, 30));
    assert_eq!(counts(&twins.sync_ours(&twin).await), (0, 35));
    let tasks = twins.studio.send("GET", &format!("/api/tasks/?project={}&page_size=3", twin.project), None).await;
    for task in tasks["tasks"].as_array().expect("tasks") {
        twins.studio.send("DELETE", &format!("/api/tasks/{}/", task["id"]), None).await;
    }
    assert_eq!(counts(&twins.sync_ours(&twin).await), (3, 32));
    let rows = twins.rows(&twin).await;
    assert_eq!(rows["tasks"].as_array().map(Vec::len), Some(35));
}

/// Goal: exactly one of two syncs that are asked at once runs. Method: 100 rounds with new objects, in random order. The
/// listing is held until the other sync has answered that it did not start, so both are asked while one runs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn of_two_syncs_that_are_asked_at_once_exactly_one_runs() {
    const ROUNDS: i64 = 100;
    const OBJECTS: i64 = 3;
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("race");
    let twin = twins.import("race", json!({"use_blob_urls": true})).await;
    let mut ours_ran = 0;
    for round in 0..ROUNDS {
        twins.rig.s3.put_many("race", (0..OBJECTS).map(|n| (format!("{round:03}-{n}.jpg"), "x")));
        let listing = twins.rig.s3.hold(Op::List);
        let (theirs, ours) = (twins.sync_theirs(&twin), twins.sync_ours(&twin));
        let (theirs, ours) = (theirs.map(|row| (row, false)), ours.map(|row| (row, true)));
        let both = if rand::random() { [theirs.boxed(), ours.boxed()] } else { [ours.boxed(), theirs.boxed()] };
        let [first, second] = both;
        let ((refused, is_ours), other) = select(first, second).await.factor_first();
        let live = refused["status"].as_str().expect("a status");
        assert!(["queued", "in_progress"].contains(&live), "round {round}: the other sync runs: {refused}");
        listing.release();
        let (ended, _) = other.await;
        assert_eq!((&ended["status"], &ended["last_sync_count"]), (&json!("completed"), &json!(OBJECTS)), "{ended}");
        assert_eq!(ended["meta"]["tasks_existed"], round * OBJECTS, "{ended}");
        assert_eq!(ended["meta"]["attempts"], round + 1, "one sync started in round {round}");
        ours_ran += i64::from(!is_ours);
    }
    let text = "SELECT count(*) FROM syncs";
    let syncs: i64 = twins.rig.database().await.query_one(text, &[]).await.expect("syncs").get(0);
    assert_eq!(syncs, ours_ran, "a refused sync of ours leaves no row");
    assert!(0 < ours_ran && ours_ran < ROUNDS, "each won at least once: ours won {ours_ran} times");
    twins.check_rows(&twin, usize::try_from(ROUNDS * OBJECTS).expect("a count")).await;
    twins.check_summary(&twin, step::EXACT).await;
}
