//! A sync whose first page has no usable object, all for the same reason, stops before it puts the whole bucket into quarantine.

use longshore_local::s3::Op;
use longshore_rig::rig::{Rig, rows};
use serde_json::{Value, json};

/// An import of a bucket with this many images, in JSON mode with these settings.
async fn sync(rig: &Rig, bucket: &str, settings: Value) -> (i64, Value) {
    let storage = rig.import_storage(rig.project().await, bucket, settings).await;
    rig.s3.clear_calls();
    let sync = rig.sync(&storage).await;
    (storage.id, rig.ended(sync).await)
}

async fn quarantined(rig: &Rig, storage: i64) -> usize {
    rows(&rig.get(&format!("/api/quarantine?storage={storage}&limit=1000")).await).len()
}

fn images(rig: &Rig, bucket: &str, count: usize) {
    rig.s3.put_many(bucket, (0..count).map(|n| (format!("{n:05}.png"), "x")));
}

/// Goal: a JSON sync over images fails at its first page, without a row in quarantine, a GET or a split; and so does the next one.
/// Method: a bucket of four pages, with idle slots.
#[tokio::test(flavor = "multi_thread")]
async fn a_json_sync_over_images_stops_at_its_first_page() {
    let rig = Rig::with().workers(2).start().await;
    images(&rig, "photos", 3_500);
    let (storage, ended) = sync(&rig, "photos", json!({})).await;
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("failed"), &json!("all_objects_unusable")), "{ended}");
    let detail = ended["detail"].as_str().expect("a text");
    assert!(detail.contains("use_blob_urls") && detail.contains("unsupported_extension"), "{detail}");
    assert!(detail.contains("all 1000 objects of the first page, such as 00000.png, 00001.png"), "{detail}");
    assert_eq!(ended["jobs"].as_array().map(Vec::len), Some(1), "no split: {ended}");
    assert_eq!(quarantined(&rig, storage).await, 0);
    let calls = rig.s3.calls();
    assert!(calls.iter().all(|call| call.op == Op::List), "{calls:?}");
    // The page after the first one is requested before the first one is judged.
    assert!(calls.len() <= 2, "{calls:?}");

    rig.post(&format!("/api/storages/s3/{storage}/sync"), json!({})).await;
    let again = rows(&rig.get(&format!("/api/syncs?storage={storage}&limit=1")).await)[0]["id"].as_i64();
    let again = rig.ended(again.expect("a sync")).await;
    assert_eq!(again["reason"], "all_objects_unusable", "{again}");
}

/// Goal: a sync goes on if it is told to, if the page is small, if one object can be used, or if the reasons differ.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_with_a_usable_object_two_reasons_or_a_small_page_goes_on() {
    let rig = Rig::start().await;
    images(&rig, "told", 250);
    images(&rig, "small", 199);
    images(&rig, "one", 250);
    rig.s3.put("one", "zz.json", r#"{"image": "i"}"#);
    images(&rig, "two", 250);
    rig.s3.put("two", "zz.json", "{");
    for (bucket, settings, quarantine, created) in [
        ("told", json!({"stop_when_unusable": false}), 250, 0),
        ("small", json!({}), 199, 0),
        ("one", json!({}), 250, 1),
        ("two", json!({}), 251, 0),
    ] {
        let (storage, ended) = sync(&rig, bucket, settings).await;
        assert_eq!((&ended["status"], &ended["reason"]), (&json!("completed_with_errors"), &Value::Null), "{bucket}");
        assert_eq!(
            (quarantined(&rig, storage).await, &ended["counts"]["created"]),
            (quarantine, &json!(created)),
            "{bucket}"
        );
    }
    // In blob mode, no object is read.
    let (_, named) = sync(&rig, "told", json!({"use_blob_urls": true})).await;
    assert_eq!((&named["status"], &named["counts"]["created"]), (&json!("completed"), &json!(250)), "{named}");
}

/// Goal: objects that are in quarantine for different reasons do not make a later sync stop. Method: a bucket of images and broken
/// files, and one image more before the second sync.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_sync_knows_the_reasons_of_the_objects_in_quarantine() {
    let rig = Rig::start().await;
    rig.s3.put_many("mixed", (0..125).map(|n| (format!("{n:05}.png"), "x")));
    rig.s3.put_many("mixed", (0..125).map(|n| (format!("{n:05}.json"), "{")));
    let storage = rig.import_storage(rig.project().await, "mixed", json!({})).await;
    assert_eq!(rig.sync_to_end(&storage).await["counts"]["quarantined"], 250);
    rig.s3.put("mixed", "99999.png", "x");
    let ended = rig.sync_to_end(&storage).await;
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("completed_with_errors"), &Value::Null), "{ended}");
    assert_eq!((&ended["counts"]["quarantined"], &ended["counts"]["still_quarantined"]), (&json!(1), &json!(250)));
}
