//! The answer to a GET is checked against the listing: what is not the listed object never becomes tasks.

mod refusals;

use std::collections::BTreeMap;

use longshore_local::s3::{Fault, Object, Op, When};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, StorageHandle};
use serde_json::{Value, json};

/// A proxy's pages. Each is valid content for an import in JSON mode, or would be quarantined as invalid.
const ERROR_DOCUMENT: Fault =
    Fault::Page { content_type: "application/json", body: r#"{"error": "bad gateway", "code": 502}"#, etag: None };
const HTML: Fault =
    Fault::Page { content_type: "text/html", body: "<html><body>502 Bad Gateway</body></html>", etag: None };
const ERROR_XML: Fault = Fault::Page {
    content_type: "application/xml",
    body: "<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>",
    etag: None,
};
const PAGE_WITH_ETAG: Fault =
    Fault::Page { content_type: "application/json", body: r#"{"error": "maintenance"}"#, etag: Some("\"5e1f-62\"") };

fn key(number: usize) -> String {
    format!("{number:04}.json")
}

/// Puts this many objects with one task each.
fn put_tasks(rig: &Rig, count: usize) -> BTreeMap<String, usize> {
    rig.s3.put_many("tasks", (0..count).map(|n| (key(n), json!({"text": key(n)}).to_string())));
    one_each((0..count).map(key))
}

async fn storage(rig: &Rig, settings: Value) -> StorageHandle {
    let project = rig.project().await;
    let storage = rig.import_storage(project, "tasks", settings).await;
    rig.s3.clear_calls();
    storage
}

/// How often an object was read.
fn reads(rig: &Rig, key: &str) -> usize {
    rig.s3.calls().iter().filter(|call| call.op == Op::Get && call.key == key).count()
}

/// Checks that the tasks have the content of their objects.
async fn check_content(rig: &Rig, storage: &StorageHandle) {
    let wrong = "SELECT count(*) FROM tasks WHERE storage_id = $1 AND data ->> 'text' IS DISTINCT FROM storage_key";
    let wrong = rig.database().await.query_one(wrong, &[&storage.id]).await.expect("tasks");
    assert_eq!(wrong.get::<_, i64>(0), 0, "tasks with other content than their object");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_the_listed_object_is_fetched_again() {
    let rig = Rig::start().await;
    let expected = put_tasks(&rig, 40);
    let storage = storage(&rig, json!({})).await;
    let faults = [ERROR_DOCUMENT, HTML, ERROR_XML, PAGE_WITH_ETAG, Fault::Truncated];
    for (number, fault) in faults.iter().enumerate() {
        for n in [number, number + 20] {
            rig.s3.fail(When::op(Op::Get).key(&key(n)).nth(1), fault.clone());
        }
    }
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
    rig.check_first_counts(&sync, &expected, 0);
    check_content(&rig, &storage).await;
    assert_eq!((rig.s3.count(Op::Get), &sync["jobs"][0]["attempt"]), (50, &json!(1)), "{sync}");
}

/// Goal: a proxy that answers many objects of a page once with its error page costs no task and no object.
#[tokio::test(flavor = "multi_thread")]
async fn error_pages_for_900_of_1000_objects_become_no_task_and_quarantine_none() {
    for fault in [ERROR_DOCUMENT, HTML] {
        let rig = Rig::start().await;
        let expected = put_tasks(&rig, 1_000);
        let storage = storage(&rig, json!({})).await;
        for n in (0..1_000).filter(|n| n % 10 > 0) {
            rig.s3.fail(When::op(Op::Get).key(&key(n)).nth(1), fault.clone());
        }
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(sync["status"], "completed", "{sync}");
        rig.check_import(&storage, &sync, &expected, &[]).await;
        rig.check_first_counts(&sync, &expected, 0);
        check_content(&rig, &storage).await;
        assert_eq!(rig.s3.count(Op::Get), 1_900);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_never_comes_as_listed_waits_in_quarantine_for_the_next_sync() {
    let rig = Rig::start().await;
    let mut expected = put_tasks(&rig, 30);
    let storage = storage(&rig, json!({})).await;
    let bad = [key(3), key(7), key(11)];
    for (key, fault) in bad.iter().zip([ERROR_DOCUMENT, Fault::Truncated, PAGE_WITH_ETAG]) {
        rig.s3.fail(When::op(Op::Get).key(key), fault);
        expected.remove(key);
    }
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    let names = bad.each_ref().map(String::as_str);
    rig.check_import(&storage, &sync, &expected, &names).await;
    rig.check_first_counts(&sync, &expected, 3);
    for row in rig.quarantine(&storage).await {
        assert_eq!(row["reason"], "unavailable", "{row}");
        assert!(row["detail"].as_str().is_some_and(|detail| detail.contains("listing")), "{row}");
    }
    // Four requests of a call, during the sync and at its end; one more read each for the page that has an etag.
    assert_eq!(bad.each_ref().map(|key| reads(&rig, key)), [8, 8, 6]);

    rig.s3.clear_faults();
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed"), &json!(3)), "{sync}");
    expected.extend(one_each(bad));
    rig.check_import(&storage, &sync, &expected, &[]).await;
    check_content(&rig, &storage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_answers_with_pages_only_fails_the_sync_and_quarantines_none() {
    let rig = Rig::with().env("LONGSHORE_MAX_FAILURES", "1").start().await;
    let expected = put_tasks(&rig, 100);
    let storage = storage(&rig, json!({})).await;
    rig.s3.fail(Op::Get, ERROR_DOCUMENT);
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["reason"]), (&json!("failed"), &json!("content_mismatch")), "{sync}");
    rig.check_import(&storage, &sync, &BTreeMap::new(), &[]).await;

    rig.s3.clear_faults();
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
}

/// Goal: a store whose answers have other etags than its listings is imported about as fast as any. Method: count the
/// requests. Only objects that are read before the first one has shown it are looked up.
#[tokio::test(flavor = "multi_thread")]
async fn answers_with_other_etags_than_the_listing_cost_few_more_requests() {
    let rig = Rig::start().await;
    let expected = put_tasks(&rig, 1_000);
    let storage = storage(&rig, json!({})).await;
    rig.s3.fail(Op::Get, Fault::OtherEtag);
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
    check_content(&rig, &storage).await;
    // 32 concurrent reads, of which each is repeated once and looked up twice.
    let (gets, lists) = (rig.s3.count(Op::Get), rig.s3.count(Op::List));
    assert!((1_000..=1_000 + 2 * 32).contains(&gets) && lists <= 3 + 4 * 32, "{gets} GETs, {lists} LISTs");
}

/// Goal: the ledger has the version that was read, not the listed one.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_was_written_after_its_listing_is_recorded_as_it_was_read() {
    let rig = Rig::start().await;
    let expected = put_tasks(&rig, 3);
    let storage = storage(&rig, json!({})).await;
    let content = r#"{"text": "0001.json", "more": [1, 2, 3]}"#;
    rig.s3.before(When::op(Op::Get).key(&key(1)).nth(1), move |buckets| {
        buckets.put("tasks", &key(1), Object::new(content));
    });
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
    check_content(&rig, &storage).await;
    let ledger = "SELECT etag, size FROM objects WHERE storage_id = $1 AND key = $2";
    let row = rig.database().await.query_one(ledger, &[&storage.id, &key(1)]).await.expect("a ledger row");
    let now = rig.s3.get("tasks", &key(1)).expect("an object");
    assert_eq!((row.get::<_, String>(0), row.get::<_, i64>(1)), (now.etag(), now.bytes.len() as i64));
    // The listing confirms the new version: one more request than for an unchanged object.
    assert_eq!((rig.s3.count(Op::Get), rig.s3.count(Op::List)), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn altered_bytes_are_found_by_their_md5_if_the_storage_asks_for_it() {
    let rig = Rig::start().await;
    let expected = put_tasks(&rig, 20);
    // Large enough to be read on another thread.
    rig.s3.put("tasks", "large.json", json!({"text": "large.json", "more": "0".repeat(50_000)}).to_string());
    let mut all = expected.clone();
    all.insert("large.json".to_owned(), 1);
    let verified = storage(&rig, json!({"verify_content": true})).await;
    rig.s3.fail(When::op(Op::Get).nth(1).per_key(), Fault::Altered);
    let sync = rig.sync_to_end(&verified).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&verified, &sync, &all, &[]).await;
    check_content(&rig, &verified).await;
    assert_eq!(rig.s3.count(Op::Get), 42);
    let zeros = "SELECT data ->> 'more' FROM tasks WHERE storage_id = $1 AND storage_key = 'large.json'";
    let row = rig.database().await.query_one(zeros, &[&verified.id]).await.expect("a task");
    assert_eq!(row.get::<_, String>(0), "0".repeat(50_000));

    // It is off by default, and a second read costs nothing then.
    rig.s3.clear_faults();
    let plain = storage(&rig, json!({})).await;
    rig.s3.fail(When::op(Op::Get).nth(1).per_key(), Fault::Altered);
    let sync = rig.sync_to_end(&plain).await;
    assert_eq!((&sync["counts"]["created"], rig.s3.count(Op::Get)), (&json!(21), 21), "{sync}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_page_that_comes_once_as_html_or_out_of_order_is_asked_for_again() {
    let rig = Rig::start().await;
    rig.s3.put_many("images", (0..2_500).map(|n| (format!("{n:05}.png"), "pixels")));
    let expected = one_each((0..2_500).map(|n| format!("{n:05}.png")));
    for fault in [HTML, ERROR_DOCUMENT, Fault::Descending] {
        let project = rig.project().await;
        let storage = rig.import_storage(project, "images", json!({"use_blob_urls": true})).await;
        rig.s3.clear_calls();
        rig.s3.fail(When::op(Op::List).nth(2), fault.clone());
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(sync["status"], "completed", "{fault:?}: {sync}");
        rig.check_import(&storage, &sync, &expected, &[]).await;
        rig.check_first_counts(&sync, &expected, 0);
        assert_eq!((rig.s3.count(Op::List), &sync["jobs"][0]["attempt"]), (4, &json!(1)), "{fault:?}");
        rig.s3.clear_faults();
    }
    // An endpoint that never answers like a storage fails the sync in its first attempt.
    let project = rig.project().await;
    let storage = rig.import_storage(project, "images", json!({"use_blob_urls": true})).await;
    rig.s3.clear_calls();
    rig.s3.fail(Op::List, HTML);
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["reason"]), (&json!("failed"), &json!("bad_answer")), "{sync}");
    assert_eq!((rig.s3.count(Op::List), &sync["jobs"][0]["attempt"]), (4, &json!(1)), "{sync}");
}
