//! What Google Cloud Storage answers is checked against the listing.

use std::io::Write;

use longshore_rig::gcs::{Fault, Gcs, Op};
use longshore_rig::oracle::one_each;
use serde_json::{Value, json};

use super::{IMPORT, check_first, create, numbered, put_all, rig, settings, tasks, with};

const PAGE: Fault = Fault::Page("application/json", r#"{"error": {"code": 502, "message": "bad gateway"}}"#);
const HTML: Fault = Fault::Page("text/html", "<html>502</html>");

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_the_listed_object_of_gcs_is_fetched_again() {
    let gcs = Gcs::start().await;
    let rig = rig(&gcs).await;
    let keys = numbered(40);
    put_all(&gcs, "json", keys.iter().map(String::as_str)).await;
    let expected = one_each(keys);
    for verify in [false, true] {
        let fields = json!({"recursive_scan": true, "verify_content": verify});
        let storage = create(&rig, IMPORT, with(&settings(&gcs, rig.project().await, "json"), fields)).await;
        gcs.clear();
        for (call, fault) in [(3, PAGE), (5, HTML), (7, Fault::Half)] {
            gcs.fail(Op::Get, call..=call, fault);
        }
        gcs.fail(Op::List, 1..=1, HTML);
        let sync = rig.sync_to_end(&storage).await;
        check_first(&rig, &storage, &sync, &expected).await;
        assert_eq!((gcs.count(Op::Get), gcs.count(Op::List)), (43, 2), "{sync}");
        let data: Vec<Value> = tasks(&rig, storage.project).await.iter().map(|task| task["data"].clone()).collect();
        assert!(data.iter().all(|data| data.get("text").is_some()), "{data:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_gcs_that_pass_are_tried_again_at_the_end_of_the_sync() {
    let gcs = Gcs::start().await;
    let rig = rig(&gcs).await;
    let keys = numbered(300);
    put_all(&gcs, "json", keys.iter().map(String::as_str)).await;
    let storage =
        create(&rig, IMPORT, with(&settings(&gcs, rig.project().await, "json"), json!({"recursive_scan": true}))).await;
    gcs.clear();
    // Late enough that some objects are read before: a storage whose first answers are all refusals fails the sync.
    gcs.fail(Op::Get, 201..=260, Fault::Status(403, "forbidden", None));
    let sync = rig.sync_to_end(&storage).await;
    check_first(&rig, &storage, &sync, &one_each(keys)).await;
    assert_eq!(gcs.count(Op::Get), 360, "{sync}");
}

/// Goal: an object with `Content-Encoding: gzip` is read as it is stored, so its size agrees with the listing.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_gcs_would_decompress_is_imported() {
    let gcs = Gcs::start().await;
    let rig = rig(&gcs).await;
    put_all(&gcs, "json", ["plain.json"]).await;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(br#"[{"text": "a"}, {"text": "b"}]"#).expect("a vector takes all");
    gcs.put_gzip("json", "stored.json", &packed.finish().expect("a vector takes all")).await;
    let fields = json!({"verify_content": true});
    let storage = create(&rig, IMPORT, with(&settings(&gcs, rig.project().await, "json"), fields)).await;
    let sync = rig.sync_to_end(&storage).await;
    let expected = [("plain.json".to_owned(), 1), ("stored.json".to_owned(), 2)].into();
    check_first(&rig, &storage, &sync, &expected).await;
}
