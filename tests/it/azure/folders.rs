//! Blobs that stand for folders.

use longshore_rig::azurite::Azurite;
use longshore_rig::oracle::one_each;
use longshore_rig::rig::Rig;
use serde_json::json;

use super::{IMPORT, create, settings, with};

/// Goal: a folder of Azure is no task, and an empty blob is one. Method: blobs that metadata marks as folders, one without
/// metadata but with blobs below it, and an empty blob of the same length as all of them.
#[tokio::test(flavor = "multi_thread")]
async fn blobs_that_stand_for_folders_become_no_tasks() {
    let azurite = Azurite::shared().await;
    let rig = Rig::start().await;
    let container = azurite.create_container("folders").await;
    for key in ["photos", "photos/2024", "photos/none"] {
        azurite.put_folder(&container, key).await;
    }
    for (key, content) in
        [("photos/2024/1.jpg", "jpg"), ("photos/empty.jpg", ""), ("photos/old", ""), ("photos/old/2.jpg", "jpg")]
    {
        azurite.put(&container, key, content.as_bytes()).await;
    }
    let all = ["photos/2024/1.jpg", "photos/empty.jpg", "photos/old/2.jpg"];
    for (prefix, is_deep, wanted, folders, depth) in [
        ("photos", true, &all[..], 3, 0),
        ("", true, &all[..], 4, 0),
        ("photos", false, &all[1..2], 3, 2),
        ("", false, &[][..], 1, 1),
    ] {
        let base = settings(&azurite.endpoint(), rig.project().await, &container);
        let fields = json!({"prefix": prefix, "recursive_scan": is_deep, "use_blob_urls": true});
        let storage = create(&rig, IMPORT, with(&base, fields)).await;
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(sync["status"], "completed", "{sync}");
        rig.check_import(&storage, &sync, &one_each(wanted.iter().copied()), &[]).await;
        assert_eq!(
            [&sync["counts"]["skipped"]["folder"], &sync["counts"]["skipped"]["depth"]],
            [folders, depth],
            "{sync}"
        );
    }
    // Only the empty blob cannot hold tasks.
    let base = settings(&azurite.endpoint(), rig.project().await, &container);
    let storage =
        create(&rig, IMPORT, with(&base, json!({"prefix": "photos", "regex_filter": ".*(empty|old|none|2024)"}))).await;
    let sync = rig.sync_to_end(&storage).await;
    let quarantine = rig.quarantine(&storage).await;
    assert_eq!((&quarantine[0]["key"], quarantine.len()), (&json!("photos/empty.jpg"), 1), "{sync}");
}
