//! Deletions of tasks: one by one, of a storage, and of a project.

mod faults;
mod projects;

use std::collections::BTreeMap;

use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, StorageHandle, rows};
use serde_json::{Value, json};

/// Three pages.
const IMAGES: usize = 2_500;

fn image(n: usize) -> String {
    format!("{n:05}.png")
}

/// An import storage whose images became tasks, and what the ledger has.
async fn images(rig: &Rig, project: i64, bucket: &str) -> (StorageHandle, BTreeMap<String, usize>) {
    rig.s3.put_many(bucket, (0..IMAGES).map(|n| (image(n), "")));
    let storage = rig.import_storage(project, bucket, json!({"use_blob_urls": true})).await;
    let ended = rig.sync_to_end(&storage).await;
    assert_eq!(ended["counts"]["created"], IMAGES, "{ended}");
    (storage, one_each((0..IMAGES).map(image)))
}

/// Where the tasks of a storage are deleted.
fn tasks_of(storage: &StorageHandle) -> String {
    format!("{}/{}/tasks", storage.path, storage.id)
}

/// Requests a deletion, and again with the value that the refusal gives. Returns the ID of its sync.
async fn delete(rig: &Rig, path: &str) -> i64 {
    let (status, refused) = rig.call("DELETE", path, None).await;
    assert_eq!((status, &refused["code"]), (409, &json!("confirmation_required")), "{refused}");
    let confirm = refused["confirm"].as_str().expect("a value");
    let join = if path.contains('?') { '&' } else { '?' };
    let (status, sync) = rig.call("DELETE", &format!("{path}{join}confirm={confirm}"), None).await;
    assert_eq!(status, 202, "{sync}");
    sync["id"].as_i64().expect("an ID")
}

/// Number of tasks of a project, and of ledger rows of a storage.
async fn stored(rig: &Rig, storage: &StorageHandle) -> (i64, i64) {
    let query = "SELECT (SELECT count(*) FROM tasks WHERE project_id = $1), (SELECT count(*) FROM objects WHERE storage_id = $2)";
    let row = rig.database().await.query_one(query, &[&storage.project, &storage.id]).await.expect("counts");
    (row.get(0), row.get(1))
}

fn counts<const N: usize>(sync: &Value, names: [&str; N]) -> [i64; N] {
    names.map(|name| sync["counts"][name].as_i64().unwrap_or_else(|| panic!("no counter {name}: {sync}")))
}

const COUNTERS: [&str; 3] = ["deleted_tasks", "deleted_annotations", "forgotten"];

/// IDs of the tasks of a project.
async fn task_ids(rig: &Rig, project: i64) -> Vec<i64> {
    let list = rig.get(&format!("/api/tasks?project={project}&page_size=1000")).await;
    rows(&list["tasks"]).iter().filter_map(|task| task["id"].as_i64()).collect()
}

/// Goal: a wrong sync can be undone. Method: delete the tasks of one of two storages, and sync it again.
#[tokio::test(flavor = "multi_thread")]
async fn deleted_tasks_of_a_storage_are_imported_again_by_its_next_sync() {
    let rig = Rig::start().await;
    let project = rig.project().await;
    let (storage, expected) = images(&rig, project, "images").await;
    rig.s3.put("others", "a.png", "");
    let other = rig.import_storage(project, "others", json!({"use_blob_urls": true})).await;
    rig.sync_to_end(&other).await;
    let task = task_ids(&rig, project).await[7];
    rig.post(&format!("/api/tasks/{task}/annotations"), json!({"result": []})).await;

    let (status, refused) = rig.call("DELETE", &tasks_of(&storage), None).await;
    let takes =
        json!({"tasks": IMAGES, "annotations": 1, "predictions": 0, "objects": IMAGES, "exports": 0, "storages": 0});
    assert_eq!((status, &refused["takes"], &refused["confirm"]), (409, &takes, &json!("2500")), "{refused}");
    let (status, refused) = rig.call("DELETE", &format!("{}?confirm=2499", tasks_of(&storage)), None).await;
    assert_eq!((status, &refused["code"]), (409, &json!("confirmation_required")), "another number confirms nothing");
    assert_eq!(stored(&rig, &storage).await, (2_501, 2_500));

    let sync = rig.ended(delete(&rig, &tasks_of(&storage)).await).await;
    assert_eq!((&sync["status"], counts(&sync, COUNTERS)), (&json!("completed"), [2_500, 1, 2_500]), "{sync}");
    assert_eq!(sync["deletion"], json!({"keep": false, "removes": null, "tasks": 2_500}));
    assert_eq!((sync["storage"].clone(), sync["direction"].clone()), (json!(storage.id), json!("import")));
    assert_eq!(stored(&rig, &storage).await, (1, 0), "the task of the other storage stays");
    let path = format!("{}/{}", storage.path, storage.id);
    assert_eq!(rig.get(&path).await["status"], "initialized");
    for list in [format!("storage={}", storage.id), format!("project={project}"), "status=completed".to_owned()] {
        let listed = rig.get(&format!("/api/syncs?{list}&limit=1")).await;
        assert_eq!(listed["syncs"][0]["id"], sync["id"], "{list}");
    }
    let (status, retried) = rig.call("POST", &format!("/api/syncs/{}/retry", sync["id"]), None).await;
    assert_eq!((status, &retried["code"]), (400, &json!("conflict")), "a deletion must be confirmed again: {retried}");

    let again = rig.sync_to_end(&storage).await;
    assert_eq!(again["counts"]["created"], IMAGES, "{again}");
    rig.check_import(&storage, &again, &expected, &[]).await;
}

/// Goal: unwanted objects stay away, and can come back. Method: delete tasks with `keep`, sync, and delete without.
#[tokio::test(flavor = "multi_thread")]
async fn kept_objects_are_not_imported_again_until_a_deletion_forgets_them() {
    let rig = Rig::start().await;
    let (storage, _) = images(&rig, rig.project().await, "images").await;
    let sync = rig.ended(delete(&rig, &format!("{}?keep=true", tasks_of(&storage))).await).await;
    assert_eq!(counts(&sync, COUNTERS), [2_500, 0, 0], "{sync}");
    assert_eq!(stored(&rig, &storage).await, (0, 2_500));
    let again = rig.sync_to_end(&storage).await;
    assert_eq!(counts(&again, ["created", "existed"]), [0, 2_500], "{again}");

    let sync = rig.ended(delete(&rig, &tasks_of(&storage)).await).await;
    assert_eq!(counts(&sync, COUNTERS), [0, 0, 2_500], "{sync}");
    let again = rig.sync_to_end(&storage).await;
    assert_eq!(counts(&again, ["created", "existed"]), [2_500, 0], "{again}");
}

/// Goal: one task can be undone as well. Method: delete the tasks of a file with two items one after the other, and sync.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_comes_back_once_none_of_its_tasks_is_left() {
    let rig = Rig::start().await;
    let project = rig.project().await;
    rig.s3.put("files", "two.json", json!([{"image": "a"}, {"image": "b"}]).to_string());
    let storage = rig.import_storage(project, "files", json!({})).await;
    rig.sync_to_end(&storage).await;
    let ids = task_ids(&rig, project).await;
    let remove = async |id: i64, query: &str| rig.call("DELETE", &format!("/api/tasks/{id}{query}"), None).await.0;
    assert_eq!(remove(ids[0], "").await, 204);
    assert_eq!(remove(ids[0], "").await, 404);
    assert_eq!(counts(&rig.sync_to_end(&storage).await, ["created", "existed"]), [0, 1], "one task is left");
    assert_eq!(remove(ids[1], "").await, 204);
    assert_eq!(counts(&rig.sync_to_end(&storage).await, ["created", "existed"]), [2, 0]);

    for id in task_ids(&rig, project).await {
        assert_eq!(remove(id, "?keep=true").await, 204);
    }
    assert_eq!(counts(&rig.sync_to_end(&storage).await, ["created", "existed"]), [0, 1], "kept away");
}

/// Goal: no object outlives its annotation where it may be deleted, whatever deleted the annotation. Method: delete one task,
/// then all tasks of a storage, with an export storage that may delete objects.
#[tokio::test(flavor = "multi_thread")]
async fn exported_objects_of_deleted_tasks_are_deleted_where_the_storage_allows_it() {
    let rig = Rig::start().await;
    let project = rig.project().await;
    rig.s3.put_many("source", (0..3).map(|n| (image(n), "")));
    let source = rig.import_storage(project, "source", json!({"use_blob_urls": true})).await;
    rig.sync_to_end(&source).await;
    let ids = task_ids(&rig, project).await;
    for id in &ids {
        rig.post(&format!("/api/tasks/{id}/annotations"), json!({"result": []})).await;
    }
    rig.s3.create_bucket("target");
    let target = rig.export_storage(project, "target", json!({"can_delete_objects": true})).await;
    assert_eq!(counts(&rig.sync_to_end(&target).await, ["exported"]), [3]);
    let last_of_target = async || {
        let list = rig.get(&format!("/api/syncs?storage={}&limit=1", target.id)).await;
        rig.ended(list["syncs"][0]["id"].as_i64().expect("an ID")).await
    };

    assert_eq!(rig.call("DELETE", &format!("/api/tasks/{}", ids[0]), None).await.0, 204);
    assert_eq!(counts(&last_of_target().await, ["deleted", "exported", "unchanged"]), [1, 0, 0]);
    let (_, refused) = rig.call("DELETE", &tasks_of(&source), None).await;
    assert_eq!(refused["takes"]["exports"], 2, "{refused}");
    rig.ended(delete(&rig, &tasks_of(&source)).await).await;
    assert_eq!(counts(&last_of_target().await, ["deleted", "exported"]), [2, 0]);
    assert_eq!(rig.s3.objects("target").len(), 0);
}
