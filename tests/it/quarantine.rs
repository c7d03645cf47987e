//! Quarantine: an object is tried again only when it changed or a user replays it.

use longshore_local::s3::Op;
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, StorageHandle};
use serde_json::{Value, json};

const BAD: [&str; 3] = ["bad-1.json", "bad-2.json", "bad-3.json"];
const GOOD: [&str; 2] = ["good-1.json", "good-2.json"];

/// A bucket of two valid and three invalid objects, synced once.
async fn synced(rig: &Rig) -> StorageHandle {
    rig.s3.put_many("tasks", BAD.map(|key| (key, "{")));
    rig.s3.put_many("tasks", GOOD.map(|key| (key, "{}")));
    let project = rig.project().await;
    let storage = rig.import_storage(project, "tasks", json!({})).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    rig.check_import(&storage, &sync, &one_each(GOOD), &BAD).await;
    rig.check_first_counts(&sync, &one_each(GOOD), 3);
    storage
}

/// Another sync, and the keys it read.
async fn sync_again(rig: &Rig, storage: &StorageHandle) -> (Value, Vec<String>) {
    rig.s3.clear_calls();
    let sync = rig.sync_to_end(storage).await;
    (sync, read(rig))
}

fn read(rig: &Rig) -> Vec<String> {
    let mut keys: Vec<String> =
        rig.s3.calls().into_iter().filter(|call| call.op == Op::Get).map(|call| call.key).collect();
    keys.sort();
    keys
}

/// The counters quarantined, still quarantined, existed and created.
fn counts(sync: &Value) -> [i64; 4] {
    ["quarantined", "still_quarantined", "existed", "created"]
        .map(|name| sync["counts"][name].as_i64().unwrap_or_else(|| panic!("no counter {name}: {sync}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_object_is_read_again_only_when_it_changed() {
    let rig = Rig::start().await;
    let storage = synced(&rig).await;

    let (sync, read) = sync_again(&rig, &storage).await;
    assert_eq!((counts(&sync), read.len()), ([0, 3, 2, 0], 0), "{sync}");
    assert_eq!((&sync["status"], &sync["warnings"][0]["count"]), (&json!("completed"), &json!(3)), "{sync}");
    rig.check_import(&storage, &sync, &one_each(GOOD), &BAD).await;

    rig.s3.put("tasks", "bad-1.json", "{}");
    rig.s3.put("tasks", "bad-2.json", "[7]");
    let (sync, read) = sync_again(&rig, &storage).await;
    assert_eq!((counts(&sync), read), ([1, 1, 2, 1], vec!["bad-1.json".to_owned(), "bad-2.json".to_owned()]), "{sync}");
    let expected = one_each(GOOD.into_iter().chain(["bad-1.json"]));
    rig.check_import(&storage, &sync, &expected, &BAD[1..]).await;
    let aside = rig.quarantine(&storage).await;
    assert_eq!((&aside[0]["reason"], &aside[0]["sync"]), (&json!("wrong_type"), &sync["id"]), "{aside:?}");
    assert_eq!(aside[1]["reason"], "invalid_json", "{aside:?}");

    for key in &BAD[1..] {
        rig.s3.put("tasks", key, "{}");
    }
    let (sync, _) = sync_again(&rig, &storage).await;
    assert_eq!((counts(&sync), &sync["status"]), ([0, 0, 3, 2], &json!("completed")), "{sync}");
    rig.check_import(&storage, &sync, &one_each(GOOD.into_iter().chain(BAD)), &[]).await;
    let shown = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
    assert_eq!((&shown["status"], &shown["traceback"]), (&json!("completed"), &Value::Null), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_reads_one_or_many_objects_again() {
    let rig = Rig::start().await;
    let storage = synced(&rig).await;
    let row = rig.quarantine(&storage).await.remove(1);
    rig.s3.clear_calls();
    let decided = rig.post(&format!("/api/quarantine/{}/replay", row["id"]), json!({})).await;
    assert_eq!(decided["count"], 1, "{decided}");
    let sync = rig.ended(decided["syncs"][0].as_i64().expect("a sync")).await;
    assert_eq!((counts(&sync), read(&rig)), ([1, 2, 2, 0], vec!["bad-2.json".to_owned()]), "{sync}");
    assert_eq!(sync["requested_by"], "replay", "{sync}");
    rig.check_import(&storage, &sync, &one_each(GOOD), &BAD).await;
    // Quarantined again, it waits for a change or the next replay like any other object.
    let (sync, read) = sync_again(&rig, &storage).await;
    assert_eq!((counts(&sync), read.len()), ([0, 3, 2, 0], 0), "{sync}");

    let decided = rig.post("/api/quarantine/replay", json!({"storage": storage.id})).await;
    assert_eq!(decided["count"], 3, "{decided}");
    let sync = rig.ended(decided["syncs"][0].as_i64().expect("a sync")).await;
    assert_eq!(counts(&sync), [3, 0, 2, 0], "{sync}");
    rig.check_import(&storage, &sync, &one_each(GOOD), &BAD).await;
    let (status, refused) = rig.call("POST", "/api/quarantine/replay", Some(json!({}))).await;
    assert_eq!(status, 400, "everything everywhere must be asked for by name: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_object_is_not_read_until_it_changes() {
    let rig = Rig::start().await;
    let storage = synced(&rig).await;
    let decided = rig.post("/api/quarantine/discard", json!({"storage": storage.id})).await;
    assert_eq!((&decided["count"], &decided["syncs"]), (&json!(3), &json!([])), "{decided}");

    let (sync, read) = sync_again(&rig, &storage).await;
    assert_eq!((counts(&sync), read.len(), &sync["status"]), ([0, 0, 5, 0], 0, &json!("completed")), "{sync}");
    let discarded = rig.quarantine(&storage).await;
    assert!(discarded.iter().all(|row| row["state"] == "discarded"), "{discarded:?}");

    rig.s3.put("tasks", "bad-1.json", "{}");
    rig.s3.put("tasks", "bad-2.json", "[");
    let (sync, read) = sync_again(&rig, &storage).await;
    assert_eq!((counts(&sync), read.len()), ([1, 0, 3, 1], 2), "{sync}");
    rig.check_import(&storage, &sync, &one_each(GOOD.into_iter().chain(["bad-1.json"])), &BAD[1..]).await;
    let aside = rig.quarantine(&storage).await;
    assert_eq!((&aside[0]["state"], &aside[1]["state"]), (&json!("open"), &json!("discarded")), "{aside:?}");
}
