//! Quarantined objects that leave the bucket.

use longshore_local::s3::Op;
use longshore_rig::oracle::one_each;
use longshore_rig::rig::Rig;
use serde_json::{Value, json};

fn counts<const N: usize>(sync: &Value, names: [&str; N]) -> [i64; N] {
    names.map(|name| sync["counts"][name].as_i64().unwrap_or_else(|| panic!("no counter {name}: {sync}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_object_that_left_the_bucket_leaves_the_quarantine() {
    let rig = Rig::start().await;
    let key = |n: usize| format!("train/{n:04}.json");
    // More than two pages, with invalid objects at the edges of pages and between.
    let bad = [0, 1, 500, 999, 1_000, 1_500, 2_400];
    rig.s3.put_many("tasks", (0..2_401).map(|n| (key(n), if bad.contains(&n) { "{" } else { "{}" })));
    // Out of the reach of a sync below the prefix.
    rig.s3.put_many("tasks", ["other/x.json", "zebra.json"].map(|key| (key, "{")));
    let project = rig.project().await;
    let storage = rig.import_storage(project, "tasks", json!({})).await;
    rig.sync_to_end(&storage).await;
    assert_eq!(rig.quarantine(&storage).await.len(), bad.len() + 2);

    // Nothing left: nothing is closed.
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(counts(&sync, ["still_quarantined"]), [9], "{sync}");
    assert_eq!(rig.quarantine(&storage).await.len(), 9);

    rig.patch(&storage, json!({"prefix": "train", "regex_filter": r".*(?<!1500)\.json$"})).await;
    for n in [0, 999, 1_000, 2_400] {
        rig.s3.remove("tasks", &key(n));
    }
    rig.s3.remove("tasks", "zebra.json");
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], counts(&sync, ["still_quarantined"])), (&json!("completed"), [2]), "{sync}");
    let mut left: Vec<Value> = rig.quarantine(&storage).await.iter().map(|row| row["key"].clone()).collect();
    left.sort_by_key(ToString::to_string);
    // The filter skips one, and the listing does not reach two.
    let wanted = [json!("other/x.json"), json!(key(1)), json!(key(1_500)), json!(key(500)), json!("zebra.json")];
    let mut wanted = wanted.to_vec();
    wanted.sort_by_key(ToString::to_string);
    assert_eq!(left, wanted);

    // An emptied bucket has an empty page.
    rig.patch(&storage, json!({"prefix": "", "regex_filter": null})).await;
    for (key, ..) in rig.s3.objects("tasks") {
        rig.s3.remove("tasks", &key);
    }
    rig.s3.clear_calls();
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], rig.s3.count(Op::List)), (&json!("completed"), 1), "{sync}");
    assert!(rig.quarantine(&storage).await.is_empty());
}

/// Goal: a decision of a user stays, and so does an object whose listing comes on another page or job.
#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_object_stays_discarded_and_split_ranges_close_no_row_of_another() {
    let rig = Rig::with().workers(2).env("LONGSHORE_SPLIT_AFTER_PAGES", "1").start().await;
    let key = |n: usize| format!("{n:05}.json");
    rig.s3.put_many("tasks", (0..4_000).map(|n| (key(n), if n % 400 == 0 { "{" } else { "{}" })));
    let project = rig.project().await;
    let storage = rig.import_storage(project, "tasks", json!({})).await;
    rig.sync_to_end(&storage).await;
    let rows = rig.quarantine(&storage).await;
    assert_eq!(rows.len(), 10);
    rig.post(&format!("/api/quarantine/{}/discard", rows[3]["id"]), json!({})).await;
    rig.s3.remove("tasks", rows[3]["key"].as_str().expect("a key"));
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(counts(&sync, ["still_quarantined"]), [9], "{sync}");
    let states: Vec<Value> = rig.quarantine(&storage).await.iter().map(|row| row["state"].clone()).collect();
    assert_eq!(states.iter().filter(|state| *state == "discarded").count(), 1, "{states:?}");
    assert_eq!(states.len(), 10);
    let expected = one_each((0..4_000).filter(|n| n % 400 != 0).map(key));
    let names: Vec<String> = rows.iter().filter_map(|row| row["key"].as_str().map(str::to_owned)).collect();
    rig.check_import(&storage, &sync, &expected, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
}
