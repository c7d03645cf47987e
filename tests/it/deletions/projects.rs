//! Changes and deletions of projects, and of storages with their tasks.

use longshore_rig::rig::Rig;
use serde_json::{Value, json};

use super::{COUNTERS, IMAGES, counts, delete, images, stored, task_ids};

/// Goal: a project goes as a whole, and nothing else. Method: delete one of two projects, with an export, and look for rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_project_takes_its_tasks_and_storages_and_leaves_its_objects() {
    let rig = Rig::start().await;
    let (project, other) = (rig.project().await, rig.project().await);
    let (storage, _) = images(&rig, project, "images").await;
    let (kept, _) = images(&rig, other, "others").await;
    let task = task_ids(&rig, project).await[0];
    rig.post(&format!("/api/tasks/{task}/annotations"), json!({"result": []})).await;
    rig.s3.create_bucket("target");
    let target = rig.export_storage(project, "target", json!({"can_delete_objects": true})).await;
    rig.sync_to_end(&target).await;

    let path = format!("/api/projects/{project}");
    let (status, refused) = rig.call("DELETE", &path, None).await;
    let takes =
        json!({"tasks": IMAGES, "annotations": 1, "predictions": 0, "objects": IMAGES, "exports": 1, "storages": 2});
    assert_eq!((status, &refused["takes"]), (409, &takes), "{refused}");
    let sync = rig.ended(delete(&rig, &path).await).await;
    assert_eq!((&sync["status"], counts(&sync, COUNTERS)), (&json!("completed"), [2_500, 1, 2_500]), "{sync}");
    assert_eq!((&sync["storage"], &sync["kind"], &sync["project"]), (&Value::Null, &Value::Null, &json!(project)));
    for gone in [path, format!("{}/{}", storage.path, storage.id), format!("{}/{}", target.path, target.id)] {
        assert_eq!(rig.call("GET", &gone, None).await.0, 404, "{gone}");
    }
    assert_eq!(stored(&rig, &storage).await, (0, 0));
    assert_eq!(rig.s3.objects("target").len(), 1, "exported objects stay");
    assert_eq!(stored(&rig, &kept).await, (2_500, 2_500), "another project stays");
}

/// Goal: a storage can go with what it made. Method: delete one of two storages with its tasks.
#[tokio::test(flavor = "multi_thread")]
async fn a_storage_deleted_with_its_tasks_leaves_those_of_other_storages() {
    let rig = Rig::start().await;
    let project = rig.project().await;
    let (storage, _) = images(&rig, project, "images").await;
    rig.s3.put("others", "a.png", "");
    let other = rig.import_storage(project, "others", json!({"use_blob_urls": true})).await;
    rig.sync_to_end(&other).await;
    let path = format!("{}/{}", storage.path, storage.id);
    let sync = rig.ended(delete(&rig, &format!("{path}?tasks=true")).await).await;
    assert_eq!((&sync["status"], counts(&sync, COUNTERS)), (&json!("completed"), [2_500, 0, 2_500]), "{sync}");
    assert_eq!((sync["storage"].clone(), sync["deletion"]["removes"].clone()), (json!(storage.id), json!("storage")));
    assert_eq!(rig.call("GET", &path, None).await.0, 404);
    assert_eq!(stored(&rig, &other).await, (1, 1));

    let export = rig.export_storage(project, "others", json!({})).await;
    let (status, refused) = rig.call("DELETE", &format!("{}/{}?tasks=true", export.path, export.id), None).await;
    assert_eq!((status, refused["validation_errors"]["tasks"].is_array()), (400, true), "{refused}");
}

/// Goal: changes of a project are checked as its creation is. Method: PATCH with good and bad fields.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_changed_field_by_field_and_an_empty_one_is_deleted_at_once() {
    let rig = Rig::with().workers(0).start().await;
    let project = rig.project().await;
    let path = format!("/api/projects/{project}");
    let before = rig.get(&path).await;
    let (status, changed) = rig.call("PATCH", &path, Some(json!({"title": " Pets "}))).await;
    assert_eq!((status, &changed["title"]), (200, &json!("Pets")), "{changed}");
    assert_eq!(changed["label_config"], before["label_config"], "a field that is not sent stays");
    let config = r#"<View><Text name="t" value="$text"/></View>"#;
    let (status, changed) = rig.call("PATCH", &path, Some(json!({"label_config": config}))).await;
    assert_eq!((status, &changed["title"], &changed["label_config"]), (200, &json!("Pets"), &json!(config)));
    for wrong in [json!({"title": " "}), json!({"title": "x".repeat(257)}), json!({"label_config": "\u{0}"})] {
        let (status, refused) = rig.call("PATCH", &path, Some(wrong)).await;
        assert_eq!((status, &refused["code"]), (400, &json!("validation_error")), "{refused}");
    }
    assert_eq!(rig.get(&path).await["title"], "Pets");
    assert_eq!(rig.call("DELETE", &path, None).await.0, 204, "nothing needs a confirmation");
    assert_eq!(rig.call("GET", &path, None).await.0, 404);
    assert_eq!(rig.call("DELETE", &path, None).await.0, 404);
}
