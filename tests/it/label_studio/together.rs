//! Label Studio's own syncs and Longshore's on one storage.

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

/// Goal: no key is doubled. Method: both are asked at the same time, many times, each time with new objects.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn of_two_syncs_that_are_asked_at_once_exactly_one_runs() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("race");
    let twin = twins.import("race", json!({"use_blob_urls": true})).await;
    let mut ours_ran = 0;
    for round in 0..20 {
        twins.rig.s3.put_many("race", (0..25).map(|n| (format!("{round:03}-{n:03}.jpg"), "x")));
        let (theirs, ours) = tokio::join!(twins.sync_theirs(&twin), twins.sync_ours(&twin));
        ours_ran += usize::from(ours["last_sync_count"] == 25 && theirs["last_sync_count"] != 25);
    }
    twins.sync_theirs(&twin).await;
    let rows = twins.rows(&twin).await;
    let tasks = rows["tasks"].as_array().expect("tasks");
    let mut keys: Vec<&str> = tasks.iter().filter_map(|task| task["key"].as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((tasks.len(), keys.len()), (500, 500), "each key once; ours ran {ours_ran} times");
    let mut numbers: Vec<i64> = tasks.iter().filter_map(|task| task["inner_id"].as_i64()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 500, "each number once");
}
