//! The main job, end to end: a bucket becomes tasks, annotations become objects.

use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, rows};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn blob_mode_creates_one_task_per_object() {
    let rig = Rig::start().await;
    rig.s3.create_bucket("images");
    rig.s3.put_many("images", (0..2_500).map(|n| (format!("train/{n:05}.png"), format!("image {n}"))));
    let project = rig.project().await;
    let storage = rig.import_storage(project, "images", json!({"use_blob_urls": true, "prefix": "train"})).await;

    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    let expected = one_each((0..2_500).map(|n| format!("train/{n:05}.png")));
    rig.check_import(&storage, &sync, &expected, &[]).await;
    rig.check_first_counts(&sync, &expected, 0);

    let tasks = rig.get(&format!("/api/tasks/?project={project}&page_size=1&page=1&resolve_uri=false")).await;
    assert_eq!(tasks["total"], 2_500);
    assert_eq!(rows(&tasks)[0]["data"]["image"], "s3://images/train/00000.png");

    let again = rig.sync_to_end(&storage).await;
    assert_eq!(again["counts"]["created"], 0, "{again}");
    assert_eq!(again["counts"]["existed"], 2_500, "{again}");
}
