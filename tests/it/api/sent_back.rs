//! Answers that are sent back: scripts read a row, change a field and send all of it.

use longshore_rig::rig::{StorageHandle, rows};
use serde_json::{Value, json};

use crate::all_kinds::AllKinds;

const KINDS: [&str; 6] = ["s3", "s3s", "gcs", "azure", "redis", "localfiles"];

/// The fields of all of these; later ones win.
pub(super) fn merged(parts: &[&Value]) -> Value {
    let mut all = serde_json::Map::new();
    for part in parts {
        all.extend(part.as_object().cloned().unwrap_or_default());
    }
    Value::Object(all)
}

/// A row without what a save adds to it.
fn stored(mut row: Value) -> Value {
    for name in
        ["report", "warnings", "applies_from", "last_sync", "last_sync_count", "last_sync_job", "status", "meta"]
    {
        row.as_object_mut().expect("an object").remove(name);
    }
    row
}

/// Whether a sync with the stored credentials still ends well, and how many objects it listed or wrote.
async fn works(all: &AllKinds, path: &'static str, id: i64) {
    let sync = all.rig.sync_to_end(&StorageHandle { id, project: all.project, path }).await;
    assert_eq!(sync["status"], "completed", "{path}: {sync}");
}

/// Goal: a storage of any kind can be sent back as it was read, and keeps its credentials, which no answer shows. Method: real
/// servers of every kind; each row is read, sent to every route that takes one, and synced.
#[tokio::test(flavor = "multi_thread")]
async fn the_row_of_a_storage_of_any_kind_can_be_sent_back() {
    let all = AllKinds::start("back").await;
    let rig = &all.rig;
    for (collection, direction) in [("/api/storages", "import"), ("/api/storages/export", "export")] {
        for kind in KINDS {
            let title = json!({"project": all.project, "title": "T", "description": "D"});
            let settings = all.settings(kind, direction);
            let path: &'static str = Box::leak(format!("{collection}/{kind}").into_boxed_str());
            let made = rig.post(path, merged(&[&settings, &title])).await;
            let id = made["id"].as_i64().expect("an ID");
            let row_path = format!("{path}/{id}");
            let row = rig.get(&row_path).await;
            works(&all, path, id).await;
            for (method, sent) in [("PATCH", &row), ("PUT", &row), ("PATCH", &made)] {
                let (status, answer) = rig.call(method, &row_path, Some(sent.clone())).await;
                assert_eq!(status, 200, "{method} {row_path}: {answer}");
                assert_eq!(stored(answer), stored(row.clone()), "{method} {row_path}");
                works(&all, path, id).await;
            }
            let (status, answer) = rig.call("POST", &format!("{path}/validate"), Some(row.clone())).await;
            assert_eq!(status, 200, "validate {path}: {answer}");

            // A new one takes everything but what only the server writes. Credentials must come along.
            let (status, copy) = rig.call("POST", path, Some(merged(&[&row, &settings]))).await;
            assert_eq!(status, 201, "POST {path}: {copy}");
            assert_ne!(copy["id"], row["id"], "{path}");
            assert_eq!((&copy["status"], &copy["last_sync"]), (&json!("initialized"), &Value::Null), "{path}");
            for row in [&row, &copy] {
                assert_eq!(rig.call("DELETE", &format!("{path}/{}", row["id"]), None).await.0, 204, "{path}");
            }
        }
    }
}

/// Goal: the rows of a project, a task, an annotation and a prediction can be sent back. Method: each is read, with all fields that
/// Label Studio's clients expect, and sent to every route that takes one.
#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_project_can_be_sent_back() {
    let rig = longshore_rig::rig::Rig::with().workers(0).start().await;
    let project = rig.project().await;
    let task = rig.post("/api/tasks", json!({"project": project, "data": {"image": "i"}})).await["id"].clone();
    let annotations = format!("/api/tasks/{task}/annotations");
    let annotation = rig.post(&annotations, json!({"result": [{"a": 1}], "lead_time": 1.5})).await["id"].clone();
    let new = json!({"task": task, "result": [{"b": 2}], "score": 0.5, "model_version": "v1"});
    let prediction = rig.post("/api/predictions", new).await["id"].clone();
    for (path, collection) in [
        (format!("/api/projects/{project}"), "/api/projects".to_owned()),
        (format!("/api/tasks/{task}"), "/api/tasks".to_owned()),
        (format!("/api/annotations/{annotation}"), annotations.clone()),
        (format!("/api/predictions/{prediction}"), "/api/predictions".to_owned()),
    ] {
        let before = rig.get(&path).await;
        let (status, changed) = rig.call("PATCH", &path, Some(before.clone())).await;
        assert_eq!(status, 200, "PATCH {path}: {changed}");
        let mut after = rig.get(&path).await;
        after["updated_at"] = before["updated_at"].clone();
        assert_eq!(after, before, "{path}");
        let (status, copy) = rig.call("POST", &collection, Some(before.clone())).await;
        assert_eq!(status, 201, "POST {collection}: {copy}");
        assert_ne!(copy["id"], before["id"], "{collection}");
    }
    assert_eq!(rows(&rig.get(&annotations).await).len(), 2);
}
